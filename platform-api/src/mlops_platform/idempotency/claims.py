"""Who may carry out the request with a key: one claim at a time, and its effect is one transaction with what it changes."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Database, Session
from mlops_platform.errors import Conflict
from mlops_platform.idempotency.tables import IdempotencyKeyRow
from mlops_platform.kit.clock import now

# how much longer than its deadline a request may go on before the next one with its key is carried out in its place
_MARGIN = timedelta(seconds=30)


class ClaimLost(Conflict):
    """This request took so long that a repeated one was carried out in its place."""

    def __init__(self) -> None:
        super().__init__("A repeated request with this Idempotency-Key was carried out in place of this one.")


@dataclass(frozen=True)
class Claim:
    """The right to carry out the request with this key, until somebody else has it from a later moment."""

    caller: str
    key: str
    since: datetime

    def rows(self) -> tuple[ColumnElement[bool], ...]:
        """Return the condition that finds the row of this claim, and none when the claim was lost."""
        return (*_of(self.caller, self.key), IdempotencyKeyRow.started_at == self.since)


current: ContextVar[Claim | None] = ContextVar("claim", default=None)


async def take(
    database: Database, caller: str, key: str, request: str, longest: timedelta
) -> Claim | IdempotencyKeyRow:
    """Return the claim when this request is to be carried out, else what is known of the first request with the key.

    A first request that changed nothing and should have ended long ago, because its process died, is replaced: `longest`
    is how long a request may take.
    """
    claim = Claim(caller, key, now())
    async with database.session() as session:
        fresh = insert(IdempotencyKeyRow).values(caller=caller, key=key, request=request, started_at=claim.since)
        claimed = await session.execute(fresh.on_conflict_do_nothing().returning(IdempotencyKeyRow.key))
        if claimed.scalar_one_or_none() is not None:
            return claim
        query = select(IdempotencyKeyRow).where(*_of(caller, key)).with_for_update()
        known = (await session.execute(query)).scalar_one_or_none()
        if known is None:
            # forgotten in this moment; the next attempt finds it free
            raise RequestInProgress
        ended = known.started_at < claim.since - longest - _MARGIN
        if known.status is None and not known.took_effect and ended and known.request == request:
            known.started_at = claim.since
            return claim
        return known


async def record_effect(session: Session) -> None:
    """Before a commit of the request that is being carried out: note that it took effect. Raises ClaimLost.

    Does nothing outside of a request with a key.
    """
    claim = current.get()
    if claim is None:
        return
    marked = update(IdempotencyKeyRow).where(*claim.rows()).values(took_effect=True).returning(IdempotencyKeyRow.key)
    if (await session.execute(marked)).scalar_one_or_none() is None:
        raise ClaimLost


async def give_back(database: Database, claim: Claim, *, even: Literal["with effect", "without effect"]) -> None:
    """Let the next request with this key be carried out; without effect: unless this one changed something."""
    async with database.session() as session:
        harmless = () if even == "with effect" else (IdempotencyKeyRow.took_effect.is_(False),)
        await session.execute(delete(IdempotencyKeyRow).where(*claim.rows(), *harmless))


async def keep(database: Database, claim: Claim, status: int, content_type: str, body: bytes) -> None:
    """Keep the answer: every later request with this key is answered so."""
    async with database.session() as session:
        await session.execute(
            update(IdempotencyKeyRow).where(*claim.rows()).values(status=status, content_type=content_type, body=body)
        )


class RequestInProgress(Conflict):
    """The first request with this key has no answer yet."""

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key has not been answered yet. Send it again in a moment.",
            retry_after=1,
        )


class AnswerLost(Conflict):
    """The first request with this key took effect, but its answer was not kept."""

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key took effect, but its answer was lost. Do not send it with a new key: "
            "look at what it was to change."
        )


def _of(caller: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return (IdempotencyKeyRow.caller == caller, IdempotencyKeyRow.key == key)
