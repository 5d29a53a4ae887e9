"""Ending a session of the console: at once, in every API process, whoever still holds its cookie."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity.tables import EndedSessionRow
from mlops_platform.kit.clock import now

# tokens count a little longer than they say (MLOPS_CLOCK_SKEW_SECONDS, at most five minutes)
_TOLERANCE = timedelta(minutes=10)


async def end(session: Session, cookie: str, expires_at: float) -> None:
    """End the session of a cookie whose token expires at this moment (Unix seconds). Ending it twice is fine."""
    until = datetime.fromtimestamp(expires_at, UTC)
    statement = insert(EndedSessionRow).values(cookie_hash=_hash(cookie), until=until)
    await session.execute(statement.on_conflict_do_nothing())


async def has_ended(session: ReadSession | Session, cookie: str) -> bool:
    """Return whether somebody signed out of this session."""
    query = select(EndedSessionRow.cookie_hash).where(EndedSessionRow.cookie_hash == _hash(cookie))
    return (await session.execute(query)).first() is not None


async def forget(session: Session) -> None:
    """Remove what no token can open any more."""
    await session.execute(delete(EndedSessionRow).where(EndedSessionRow.until < now() - _TOLERANCE))


def _hash(cookie: str) -> str:
    # never what opens the session: who reads the database must not be able to sign in with it
    return sha256(cookie.encode()).hexdigest()
