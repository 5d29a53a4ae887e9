"""Sessions of browsers: opened after signing in, ended at once in every process, whoever still holds the cookie.

What a person may do is read from what the provider signed, each time: a row alone opens nothing and raises nobody.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
import structlog
from sqlalchemy import delete, or_, update

from mlops_platform.database.session import Database, Session
from mlops_platform.errors import Unauthenticated
from mlops_platform.identity import session_cookie
from mlops_platform.identity.interfaces import IdentityProvider, VerifiedToken
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.session_limits import SessionLimits
from mlops_platform.identity.signing_in import Identified, ProviderTokens, SignInProvider
from mlops_platform.identity.tables import BrowserSessionRow
from mlops_platform.identity.tokens import InvalidToken, IssuerUnavailable
from mlops_platform.kit.clock import now

log = structlog.get_logger(__name__)

# a cookie whose session is over says for so long whose form it was that came too late
REMEMBERED = timedelta(hours=24)


class SessionEnded(Unauthenticated):
    """The cookie is none of ours, somebody signed out, or its time is over."""

    def __init__(self) -> None:
        super().__init__("Sign in again: your session has ended.")


@dataclass(frozen=True)
class Sealed:
    """What only the cookie opens."""

    token: str
    refresh_token: str | None = None

    def content(self) -> bytes:
        """Return it as bytes."""
        return orjson.dumps([self.token, self.refresh_token])


class Sessions:
    """The sessions of one platform."""

    def __init__(
        self,
        database: Database,
        identity: IdentityProvider,
        provider: SignInProvider | None,
        limits: SessionLimits,
    ) -> None:
        self._database, self._identity, self.provider, self.limits = database, identity, provider, limits

    async def open(self, tokens: ProviderTokens, who: Identified, replaced: str | None = None) -> str:
        """Return the cookie of a new session of somebody who just signed in at the provider; the replaced one ends."""
        sealed = Sealed(tokens.id_token or "", tokens.refresh_token)
        places = (who.provider_subject, who.provider_session)
        return await self._open("provider", who.principal, sealed, places, now() + self.limits.longest, replaced)

    async def open_with_token(self, token: str, verified: VerifiedToken, replaced: str | None = None) -> str:
        """Return the cookie of a new session that lives as long as a token, which is verified each time."""
        until = min(now() + self.limits.longest, datetime.fromtimestamp(verified.expires_at, UTC))
        return await self._open("token", verified.principal, Sealed(token), (None, None), until, replaced)

    async def _open(
        self,
        kind: str,
        principal: Principal,
        sealed: Sealed,
        places: tuple[str | None, str | None],
        ends_at: datetime,
        replaced: str | None,
    ) -> str:
        # a cookie that was there before is never the new session's: nobody can plant one
        cookie, at = session_cookie.new_cookie(), now()
        async with self._database.session() as session:
            if replaced is not None:
                await end(session, replaced, "signed_in_again")
            session.add(
                BrowserSessionRow(
                    id_hash=session_cookie.id_of(cookie),
                    kind=kind,
                    subject=principal.subject,
                    provider_subject=places[0],
                    provider_session=places[1],
                    sealed=session_cookie.seal(cookie, sealed.content()),
                    created_at=at,
                    seen_at=at,
                    checked_at=at,
                    ends_at=ends_at,
                )
            )
        return cookie

    async def authenticate(self, cookie: str) -> Principal:
        """Return the person of an open session. Raises SessionEnded, and IssuerUnavailable when the provider must be asked first."""
        row = await self._row(cookie)
        if row is None or row.ended_at is not None:
            raise SessionEnded
        at = now()
        standing = self.limits.standing(row.seen_at, row.ends_at, at)
        if standing != "open":
            await self.end(cookie, standing)
            raise SessionEnded
        try:
            principal = await self._person(cookie, row)
        except (InvalidToken, session_cookie.NotSealedWithThisKey) as error:
            await self.end(cookie, "not_valid")
            raise SessionEnded from error
        if self.limits.should_note(row.seen_at, at):
            await self._set(cookie, seen_at=at)
        return principal

    async def belongs_to(self, cookie: str) -> tuple[str, bool] | None:
        """Return whose session a cookie is or was, and whether it is open; None for a cookie that never was ours."""
        row = await self._row(cookie)
        if row is None:
            return None
        standing = self.limits.standing(row.seen_at, row.ends_at, now())
        return row.subject, row.ended_at is None and standing == "open"

    async def id_token(self, cookie: str) -> str | None:
        """Return the provider's ID token of an open session, None when there is none."""
        row = await self._row(cookie)
        if row is None or row.ended_at is not None or row.kind != "provider":
            return None
        try:
            return _unsealed(cookie, row.sealed).token
        except session_cookie.NotSealedWithThisKey:
            return None

    async def end(self, cookie: str, why: str) -> None:
        """End a session; one that has ended already, or never was, needs no ending."""
        async with self._database.session() as session:
            await end(session, cookie, why)

    async def _row(self, cookie: str) -> BrowserSessionRow | None:
        if not session_cookie.is_cookie(cookie):
            return None
        async with self._database.read_session() as session:
            return await session.get(BrowserSessionRow, session_cookie.id_of(cookie))

    async def _person(self, cookie: str, row: BrowserSessionRow) -> Principal:
        sealed = _unsealed(cookie, row.sealed)
        if row.kind == "token":
            return (await self._identity.authenticate(sealed.token)).principal
        if self.provider is None:
            raise SessionEnded
        if self.limits.should_ask(row.checked_at, now()):
            try:
                sealed = await self._asked_again(cookie, self.provider)
            except IssuerUnavailable:
                if self.limits.must_ask(row.checked_at, now()):
                    raise
                log.warning("the identity provider could not be asked whether a session goes on; it is asked again")
        return (await self.provider.identify(sealed.token, nonce=None, fresh=False)).principal

    async def _asked_again(self, cookie: str, provider: SignInProvider) -> Sealed:
        """Ask the provider whether the person still may be signed in, once for however many requests come together."""
        async with self._database.session() as session:
            row = await session.get(BrowserSessionRow, session_cookie.id_of(cookie), with_for_update=True)
            if row is None or row.ended_at is not None:
                raise SessionEnded
            sealed = _unsealed(cookie, row.sealed)
            if not self.limits.should_ask(row.checked_at, now()):
                # another request asked while this one waited for the row
                return sealed
            if sealed.refresh_token is None:
                if not self.limits.must_ask(row.checked_at, now()):
                    return sealed
                # nothing to ask with: the browser goes to the provider, which knows the person and asks nothing
                row.ended_at, row.ended_by = now(), "ask_again"
                return await _committed_end(session)
            try:
                tokens = await provider.renew(sealed.refresh_token)
            except Unauthenticated:
                row.ended_at, row.ended_by = now(), "not_renewed"
                return await _committed_end(session)
            fresh = Sealed(tokens.id_token or sealed.token, tokens.refresh_token or sealed.refresh_token)
            if tokens.id_token is not None:
                who = await provider.identify(tokens.id_token, nonce=None, fresh=True)
                if (who.principal.subject, who.provider_subject) != (row.subject, row.provider_subject):
                    row.ended_at, row.ended_by = now(), "somebody_else"
                    return await _committed_end(session)
            row.sealed, row.checked_at = session_cookie.seal(cookie, fresh.content()), now()
            return fresh

    async def _set(self, cookie: str, **values: datetime) -> None:
        statement = update(BrowserSessionRow).where(BrowserSessionRow.id_hash == session_cookie.id_of(cookie))
        async with self._database.session() as session:
            await session.execute(statement.values(**values))


async def _committed_end(session: Session) -> Sealed:
    await session.commit()
    raise SessionEnded


async def end(session: Session, cookie: str, why: str) -> None:
    """End a session within a transaction."""
    statement = update(BrowserSessionRow).where(
        BrowserSessionRow.id_hash == session_cookie.id_of(cookie), BrowserSessionRow.ended_at.is_(None)
    )
    await session.execute(statement.values(ended_at=now(), ended_by=why))


async def end_of_person(session: Session, subject: str, why: str) -> int:
    """End every session of a person; return how many there were."""
    statement = update(BrowserSessionRow).where(
        BrowserSessionRow.subject == subject, BrowserSessionRow.ended_at.is_(None)
    )
    ended = await session.execute(statement.values(ended_at=now(), ended_by=why).returning(BrowserSessionRow.id_hash))
    return len(ended.all())


async def end_at_provider(session: Session, provider_subject: str | None, provider_session: str | None) -> int:
    """End what the provider has ended: one session there ('sid'), else all of a person ('sub'); return how many there were."""
    statement = update(BrowserSessionRow).where(
        BrowserSessionRow.ended_at.is_(None), BrowserSessionRow.kind == "provider"
    )
    if provider_session is not None:
        statement = statement.where(BrowserSessionRow.provider_session == provider_session)
    if provider_subject is not None:
        statement = statement.where(BrowserSessionRow.provider_subject == provider_subject)
    values = {"ended_at": now(), "ended_by": "provider"}
    return len((await session.execute(statement.values(values).returning(BrowserSessionRow.id_hash))).all())


async def forget(session: Session, limits: SessionLimits) -> None:
    """Remove sessions that ended a day ago: their cookies mean nothing any more."""
    before = now() - REMEMBERED
    over = or_(
        BrowserSessionRow.ended_at < before,
        BrowserSessionRow.ends_at < before,
        BrowserSessionRow.seen_at < before - limits.idle,
    )
    await session.execute(delete(BrowserSessionRow).where(over))


def _unsealed(cookie: str, sealed: bytes) -> Sealed:
    token, refresh_token = orjson.loads(session_cookie.unseal(cookie, sealed))
    return Sealed(token, refresh_token)
