"""Signing out everywhere: sessions of browsers, what renews tokens, and the tokens themselves end."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.database.session import Database, Session
from mlops_platform.errors import NotFound, Unavailable
from mlops_platform.identity import elevations, sessions
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.interfaces import IdentityProvider, VerifiedToken
from mlops_platform.identity.issuer import grants
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.subjects import SubjectNotUsable, normalised
from mlops_platform.identity.tables import PersonRow, SignOutRow
from mlops_platform.identity.tokens import InvalidToken
from mlops_platform.identity.trusted import Departures
from mlops_platform.kit.clock import now

log = structlog.get_logger(__name__)

# how long another process goes on taking a token of somebody who just signed out
SECONDS = 5.0
# predictions go on while the database stands still
_PATIENCE_SECONDS = 1.0
# no token of the platform lives longer (`mlops token --hours`), and a company's issuer gives none that does
_REMEMBERED = timedelta(days=31)
OWN_WISH = "signed out everywhere"
_ACTION = "identity:sign-out"


class PersonNotSeen(NotFound):
    """Nobody by this name has been here."""

    title = "Nobody by this name was here"

    def __init__(self) -> None:
        super().__init__(
            "The platform has seen nobody by this name; `mlops audit list` shows names as the platform has them."
        )


@dataclass(frozen=True)
class SignedOut:
    """What ended."""

    sessions: int
    renewals: int
    before: datetime


class SignOuts(Departures):
    """Who signed out everywhere, as every process remembers it for a few seconds."""

    def __init__(self, database: Database, skew_seconds: int) -> None:
        self._database, self._skew = database, skew_seconds
        self._before: dict[str, float] = {}
        self._read_at = float("-inf")

    async def check(self, verified: VerifiedToken) -> None:
        """As the interface says. While the database is away, what was read last goes on counting."""
        if time.monotonic() - self._read_at > SECONDS:
            await self._read()
        before = self._before.get(verified.principal.subject)
        # an issuer whose clock is ahead must not make a token look younger than the sign-out
        if before is not None and verified.issued_at - self._skew < before:
            raise InvalidToken(
                "signed_out", "This token is from before its person signed out everywhere; sign in again."
            )

    def look_again(self) -> None:
        self._read_at = float("-inf")

    async def _read(self) -> None:
        # first: who comes meanwhile is not kept waiting for the same answer
        self._read_at = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._database.read_session() as session:
                rows = (await session.execute(select(SignOutRow.subject, SignOutRow.before))).all()
        except (Unavailable, TimeoutError):
            log.warning("who signed out everywhere was not read again: the database does not answer")
            return
        self._before = {row.subject: row.before.timestamp() for row in rows}


async def sign_out(
    database: Database, identity: IdentityProvider, caller: Principal, subject: str, reason: str
) -> SignedOut:
    """End everything of a person that is signed in, and record who did it. Again is no harm."""
    async with database.session() as session:
        ended = await _end(session, caller, subject, reason)
    # after the commit: this process is not the one that goes on for a few seconds
    identity.look_again()
    return ended


async def sign_out_by_session(database: Database, identity: IdentityProvider, subject: str) -> SignedOut:
    """The same for who holds an open session's cookie: ending it waits for no provider that says who that is now."""
    async with database.read_session() as session:
        person = await session.get(PersonRow, subject)
    tenant = "default" if person is None else person.tenant
    own = Principal(subject, frozenset(), tenant)
    return await sign_out(database, identity, own, subject, OWN_WISH)


async def sign_out_other(
    database: Database, identity: IdentityProvider, authorizer: Authorizer, caller: Principal, subject: str, reason: str
) -> SignedOut:
    """The same for somebody else. Raises PersonNotSeen, and NotPermitted for a person of a team where the caller may not."""
    try:
        name = normalised(subject)
    except SubjectNotUsable as error:
        raise PersonNotSeen from error
    async with database.read_session() as session:
        person = await session.get(PersonRow, name)
    if person is None or not caller.sees(person.tenant):
        raise PersonNotSeen
    demand(authorizer, caller, _ACTION, person.tenant)
    return await sign_out(database, identity, caller, name, reason)


async def forget(session: Session) -> None:
    """Forget sign-outs that no token is older than."""
    await session.execute(delete(SignOutRow).where(SignOutRow.before < now() - _REMEMBERED))


async def _end(session: Session, caller: Principal, subject: str, reason: str) -> SignedOut:
    before = now()
    row = insert(SignOutRow).values(subject=subject, before=before)
    latest = func.greatest(SignOutRow.before, row.excluded.before)
    await session.execute(row.on_conflict_do_update(index_elements=["subject"], set_={"before": latest}))
    ended = await sessions.end_of_person(session, subject, "signed_out")
    renewals = await grants.end_of_person(session, subject)
    await elevations.end_of_person(session, caller, subject, "signed_out")
    await audit.record(
        session,
        action=Action.IDENTITY_SIGNED_OUT,
        actor=caller,
        # the log names people by their pseudonyms only: who is erased is erased here too
        resource=f"identity:{audit.audit_log(session).pseudonym(subject)}",
        tenant=caller.tenant,
        details={"own": caller.subject == subject, "reason": reason, "sessions": ended, "renewals": renewals},
    )
    return SignedOut(ended, renewals, before)
