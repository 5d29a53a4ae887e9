"""Sessions of browsers: opening one with its cookie, and ending it at once in every process, whoever still holds the cookie."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Database, ReadSession, Session
from mlops_platform.errors import Unauthenticated
from mlops_platform.identity.interfaces import IdentityProvider, VerifiedToken
from mlops_platform.identity.session_cookie import token_of
from mlops_platform.identity.tables import EndedSessionRow
from mlops_platform.kit.clock import now

# tokens count a little longer than they say (MLOPS_CLOCK_SKEW_SECONDS, at most five minutes)
_TOLERANCE = timedelta(minutes=10)


class SessionEnded(Unauthenticated):
    """The cookie is none of ours, or somebody signed out."""

    def __init__(self) -> None:
        super().__init__("Sign in again: your session has ended.")


async def authenticate(database: Database, identity: IdentityProvider, cookie: str) -> VerifiedToken:
    """Return the verified token of a session. Raises SessionEnded, InvalidToken and IssuerUnavailable."""
    token = token_of(cookie)
    if token is None:
        raise SessionEnded
    verified = await identity.authenticate(token)
    async with database.read_session() as session:
        if await has_ended(session, cookie):
            raise SessionEnded
    return verified


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
