"""One attempt at one item of a job: when it fails it is kept with its error, its neighbours go on, and it is tried again."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Database, Session
from mlops_platform.errors import PlatformError, Unavailable
from mlops_platform.failing.policy import gives_up
from mlops_platform.failing.tables import FailingItemRow
from mlops_platform.kit.backoff import pause_after
from mlops_platform.kit.clock import now
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

# the reason of a defect is in the log, with what the exception held: it may name what its reader must not see
_DEFECT = "a defect of the platform; the worker's log says why"
_LONGEST = 2_000
_NEWEST = timedelta(minutes=1)


class CannotBeDone(Exception):
    """An item that cannot be done; the text is the sentence its owner reads."""


@dataclass(frozen=True)
class Item:
    """`id` within the job; `what` it is, for people; the tenant whose it is, None for the platform's own.

    `ends`: after policy.MOST_ATTEMPTS it has failed for good. Else it is tried again for ever: what would be lost otherwise.
    """

    id: str
    what: str
    tenant: str | None
    ends: bool = False


@dataclass
class Attempt:
    """How an attempt ended: `error` is the sentence to show, None when it succeeded."""

    error: str | None = None
    again_in: timedelta | None = None
    """The pause before the next one; None when it succeeded or failed for good."""
    number: int = 0

    @property
    def gave_up(self) -> bool:
        """Whether it failed for good."""
        return self.error is not None and self.again_in is None

    @property
    def sentence(self) -> str:
        """What became of it and what follows, for whoever waits."""
        if self.again_in is None:
            return f"{self.error} It failed {self.number} times and is not tried again by itself."
        return f"{self.error} It is tried again in {self.again_in.total_seconds():.0f} s."


class Attempts:
    """What is known of a job's items in this pass."""

    def __init__(self, database: Database, job: str, known: Mapping[str, FailingItemRow]) -> None:
        self._database = database
        self._job = job
        self._known = known

    @property
    def items(self) -> frozenset[str]:
        """Return the items that failed."""
        return frozenset(self._known)

    def due(self, item: str) -> bool:
        """Return whether the item may be tried now: it never failed, or has waited long enough."""
        row = self._known.get(item)
        return row is None or (not row.gave_up and row.next_try_at <= now())

    @asynccontextmanager
    async def attempt(self, item: Item, *, through: type[Exception] | None = Unavailable) -> AsyncIterator[Attempt]:
        """Do one item's work in this block; what it raises is logged, counted and kept, and goes no further.

        Raises `through` as it is: what is down is down for the neighbours too, and the pass is repeated. What is unavailable
        for this item alone is no reason to give up.
        """
        ended = Attempt()
        try:
            yield ended
        except Exception as error:  # one item's boundary
            if through is not None and isinstance(error, through):
                raise
            metrics.worker_items_failed_total.labels(self._job).inc()
            ended.error = sentence_of(error)
            await self._keep(item, ended, ends=item.ends and not isinstance(error, Unavailable))
            if ended.gave_up:
                metrics.worker_items_given_up_total.labels(self._job).inc()
            log.exception("item failed", job=self._job, item=item.id, what=item.what, attempt=ended.number)
        else:
            if item.id in self._known:
                await forget(self._database, self._job, [item.id])

    async def _keep(self, item: Item, ended: Attempt, *, ends: bool) -> None:
        moment = now()
        row = FailingItemRow
        first = {
            "job": self._job,
            "item": item.id,
            "tenant": item.tenant,
            "what": item.what,
            "attempts": 1,
            "since": moment,
            "failed_at": moment,
            "next_try_at": moment,
            "error": ended.error,
        }
        again = {"attempts": row.attempts + 1, "failed_at": moment, "error": ended.error, "what": item.what}
        kept = insert(row).values(**first).on_conflict_do_update(index_elements=[row.job, row.item], set_=again)
        async with self._database.session() as session:
            ended.number = (await session.execute(kept.returning(row.attempts))).scalar_one()
            pause = timedelta(seconds=pause_after(ended.number))
            ended.again_in = None if ends and gives_up(ended.number) else pause
            mine = update(row).where(row.job == self._job, row.item == item.id)
            await session.execute(mine.values(next_try_at=moment + pause, gave_up=ended.again_in is None))


async def attempts(database: Database, job: str, items: Iterable[str] | None = None) -> Attempts:
    """Return what is known of a job's items; with `items`, all that is work now: the others are forgotten."""
    async with database.read_session() as session:
        rows = (await session.execute(select(FailingItemRow).where(FailingItemRow.job == job))).scalars()
        known = {row.item: row for row in rows}
    wanted = known.keys() if items is None else set(items)
    # another worker may have met an item that is newer than the caller's list
    settled = now() - _NEWEST
    if over := {item for item, row in known.items() if item not in wanted and row.failed_at < settled}:
        await forget(database, job, over)
        known = {item: row for item, row in known.items() if item not in over}
    return Attempts(database, job, known)


async def forget(database: Database, job: str, items: Iterable[str]) -> None:
    """Forget items that succeeded or are no work any more."""
    async with database.session() as session:
        mine = (FailingItemRow.job == job, FailingItemRow.item.in_(list(items)))
        await session.execute(delete(FailingItemRow).where(*mine))


async def try_again(session: Session, row: FailingItemRow) -> datetime:
    """Have an item tried at the job's next pass, as if it had never failed; return since when it is due."""
    row.attempts, row.gave_up, row.next_try_at = 0, False, now()
    await session.flush()
    return row.next_try_at


def sentence_of(error: Exception) -> str:
    """Return what its owner may read of an error: the words of ours, and of a defect that it is one."""
    match error:
        case PlatformError():
            sentence = error.detail
        case CannotBeDone():
            sentence = str(error)
        case _:
            sentence = f"It met {_DEFECT}"
    sentence = sentence.strip()[:_LONGEST]
    return sentence if sentence.endswith(".") else f"{sentence}."
