"""What the embedded issuer gives out once and takes back once: codes, refresh tokens, requests of devices.

Only hashes are kept. A code or refresh token that comes twice was stolen: everything that came of it ends.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import delete, func, select, update

from mlops_platform.database.session import Session
from mlops_platform.identity.issuer.requests import AuthorizeRequest
from mlops_platform.identity.issuer.user_codes import new_user_code
from mlops_platform.identity.tables import IssuerGrantRow
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id

CODE_SECONDS = 60
REFRESH_SECONDS = 36_000
DEVICE_SECONDS = 600
INTERVAL_SECONDS = 5
_SLOWER_BY = 5
_MOST_DEVICES = 50
_MOST_WRONG = 10
_WRONG_SECONDS = 600

Kind = Literal["code", "refresh", "device", "wrong"]
Waiting = Literal["authorization_pending", "slow_down", "expired_token", "access_denied", "invalid_grant"]


@dataclass(frozen=True)
class Granted:
    """For whom tokens may be made."""

    claims: dict[str, Any]
    family: str
    nonce: str | None
    signed_in_at: int
    offline: bool


async def new_code(session: Session, request: AuthorizeRequest, claims: dict[str, Any]) -> str:
    """Return a code for the person who just said who they are."""
    content = {
        **_granted(claims, request.offline),
        "client_id": request.client_id,
        "redirect_uri": request.redirect_uri,
        "challenge": request.code_challenge,
        "nonce": request.nonce,
    }
    return _add(session, "code", content, new_id(), CODE_SECONDS)


async def redeem_code(session: Session, code: str, client_id: str, redirect_uri: str, verifier: str) -> Granted | None:
    """Return for whom a code was given out; None for one that was used, is too old, or belongs to another client or browser."""
    row = await _taken(session, "code", code)
    if row is None:
        return None
    content = row.content
    challenge = urlsafe_b64encode(sha256(verifier.encode(errors="replace")).digest()).decode().rstrip("=")
    fits = content["client_id"] == client_id and content["redirect_uri"] == redirect_uri
    if not fits or not hmac.compare_digest(challenge, content["challenge"]):
        return None
    return Granted(content["claims"], row.family, content["nonce"], content["signed_in_at"], content["offline"])


async def new_refresh(session: Session, client_id: str, granted: Granted) -> str:
    """Return a refresh token of the same sign-in."""
    content = {
        **_granted(granted.claims, offline=True),
        "client_id": client_id,
        "signed_in_at": granted.signed_in_at,
    }
    return _add(session, "refresh", content, granted.family, REFRESH_SECONDS)


async def redeem_refresh(session: Session, token: str, client_id: str) -> Granted | None:
    """Return for whom a refresh token was given out, which is used up by this; None for one that does not count."""
    row = await _taken(session, "refresh", token)
    if row is None or row.content["client_id"] != client_id:
        return None
    return Granted(row.content["claims"], row.family, None, row.content["signed_in_at"], offline=True)


async def revoke_refresh(session: Session, token: str) -> None:
    """End the sign-in that a refresh token is of."""
    row = await session.get(IssuerGrantRow, _hash("refresh", token))
    if row is not None:
        await end_family(session, row.family)


async def new_device(session: Session, client_id: str, where: str) -> tuple[str, str] | None:
    """Return a device code and the code that a person types; None when too many devices wait already."""
    waiting = select(func.count()).where(
        IssuerGrantRow.kind == "device", IssuerGrantRow.used_at.is_(None), IssuerGrantRow.until > now()
    )
    if (await session.execute(waiting)).scalar_one() >= _MOST_DEVICES:
        return None
    user_code = new_user_code()
    content = {"client_id": client_id, "where": where, "interval": INTERVAL_SECONDS, "polled_at": None, "state": "open"}
    return _add(session, "device", content, new_id(), DEVICE_SECONDS, _hash("user", user_code)), user_code


async def may_type(session: Session) -> bool:
    """Return whether codes may be typed now: after ten wrong ones in ten minutes nobody may."""
    wrong = select(func.count()).where(IssuerGrantRow.kind == "wrong", IssuerGrantRow.until > now())
    return bool((await session.execute(wrong)).scalar_one() < _MOST_WRONG)


async def device_of(session: Session, user_code: str | None) -> IssuerGrantRow | None:
    """Return the open request that a typed code names, locked; a wrong code is counted."""
    row = None
    if user_code is not None:
        query = select(IssuerGrantRow).where(
            IssuerGrantRow.user_code_hash == _hash("user", user_code), IssuerGrantRow.until > now()
        )
        row = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if row is None or row.content["state"] != "open":
        _add(session, "wrong", {}, new_id(), _WRONG_SECONDS)
        return None
    return row


def settle_device(row: IssuerGrantRow, claims: dict[str, Any] | None) -> None:
    """Let a device in as somebody, or refuse it."""
    settled: dict[str, Any] = {"state": "refused"}
    if claims is not None:
        settled = {"state": "agreed", **_granted(claims, offline=True)}
    row.content = {**row.content, **settled}


async def poll_device(session: Session, device_code: str, client_id: str) -> Granted | Waiting:
    """Return what a device's request came to; who asks more often than told is told to ask less often."""
    query = select(IssuerGrantRow).where(
        IssuerGrantRow.id_hash == _hash("device", device_code), IssuerGrantRow.kind == "device"
    )
    row = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if row is None or row.content["client_id"] != client_id or row.used_at is not None:
        return "invalid_grant"
    at, content = now(), row.content
    if row.until <= at:
        return "expired_token"
    last = content["polled_at"]
    early = last is not None and (at - datetime.fromisoformat(last)).total_seconds() < content["interval"] - 0.5
    interval = content["interval"] + (_SLOWER_BY if early else 0)
    row.content = {**content, "polled_at": at.isoformat(), "interval": interval}
    if early:
        return "slow_down"
    if content["state"] == "open":
        return "authorization_pending"
    row.used_at = at
    if content["state"] == "refused":
        return "access_denied"
    return Granted(content["claims"], row.family, None, content["signed_in_at"], offline=True)


async def end_family(session: Session, family: str) -> None:
    """End everything that came of one sign-in."""
    statement = update(IssuerGrantRow).where(IssuerGrantRow.family == family, IssuerGrantRow.used_at.is_(None))
    await session.execute(statement.values(used_at=now()))


async def end_of_person(session: Session, subject: str) -> int:
    """End everything that the issuer gave out for a person; return how many things there were."""
    statement = update(IssuerGrantRow).where(
        IssuerGrantRow.content["claims"]["sub"].astext == subject,
        IssuerGrantRow.used_at.is_(None),
        IssuerGrantRow.until > now(),
    )
    ended = await session.execute(statement.values(used_at=now()).returning(IssuerGrantRow.id_hash))
    return len(ended.all())


async def forget(session: Session) -> None:
    """Remove what is too old to be used, and old enough that nobody asks for it twice."""
    await session.execute(delete(IssuerGrantRow).where(IssuerGrantRow.until < now() - timedelta(hours=1)))


async def _taken(session: Session, kind: Kind, secret: str) -> IssuerGrantRow | None:
    """Return a grant that is used up by this; one that was used before ends its whole family."""
    query = select(IssuerGrantRow).where(IssuerGrantRow.id_hash == _hash(kind, secret), IssuerGrantRow.kind == kind)
    row = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if row is None:
        return None
    if row.used_at is not None:
        await end_family(session, row.family)
        return None
    row.used_at = now()
    return row if row.until > now() else None


def _granted(claims: dict[str, Any], offline: bool) -> dict[str, Any]:
    return {"claims": claims, "offline": offline, "signed_in_at": int(now().timestamp())}


def _add(
    session: Session, kind: Kind, content: dict[str, Any], family: str, seconds: int, user_code_hash: str | None = None
) -> str:
    secret, at = secrets.token_urlsafe(32), now()
    session.add(
        IssuerGrantRow(
            id_hash=_hash(kind, secret),
            kind=kind,
            family=family,
            user_code_hash=user_code_hash,
            content=content,
            created_at=at,
            until=at + timedelta(seconds=seconds),
        )
    )
    return secret


def _hash(kind: str, secret: str) -> str:
    return sha256(f"{kind}:{secret}".encode(errors="replace")).hexdigest()
