"""What the processes of the data plane have loaded: a revision is `live` only once all of them answer with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.kit.clock import now
from mlops_platform.predictions.tables import DataPlaneRow

# a process that wrote nothing for this long is gone: nobody waits for it
GONE_AFTER = timedelta(seconds=10)
_FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Standing:
    """How far the data plane is with one revision."""

    processes: int
    """Processes that answer predictions now."""
    behind: int
    """Those of them that have not loaded the revision yet."""
    problem: str | None
    """Why one of them cannot load it, in a sentence."""

    @property
    def answers(self) -> bool:
        """Whether every process answers with the revision, and there is one."""
        return self.processes > 0 and self.behind == 0


async def report(session: Session, process: str, generation: int, not_loaded: Mapping[str, str]) -> None:
    """Keep that a process has loaded the routes of this generation, all but some revisions (id -> reason, empty while tried)."""
    values = {"generation": generation, "not_loaded": dict(not_loaded), "seen_at": now()}
    statement = insert(DataPlaneRow).values(id=process, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    await session.execute(delete(DataPlaneRow).where(DataPlaneRow.seen_at < now() - _FORGOTTEN_AFTER))


async def leave(session: Session, process: str) -> None:
    """Forget a process that stops: nobody waits for it any more."""
    await session.execute(delete(DataPlaneRow).where(DataPlaneRow.id == process))


async def of(session: ReadSession, revision_id: str, generation: int) -> Standing:
    """Return how far the data plane is with a revision whose routes exist since this generation."""
    query = select(DataPlaneRow).where(DataPlaneRow.seen_at > now() - GONE_AFTER)
    rows = list((await session.execute(query)).scalars())
    current = [row for row in rows if row.generation >= generation]
    loaded = [row for row in current if revision_id not in row.not_loaded]
    problem = next((row.not_loaded[revision_id] for row in current if row.not_loaded.get(revision_id)), None)
    return Standing(len(rows), len(rows) - len(loaded), problem)
