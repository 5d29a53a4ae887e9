"""A form that came after its session had ended: kept a short time for the same person, never sent by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import orjson
from sqlalchemy import delete, func, select

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity import session_cookie
from mlops_platform.identity.tables import KeptFormRow
from mlops_platform.kit.clock import now

_KEPT = timedelta(minutes=30)
_MOST_FORMS = 5
_MOST_FIELDS = 20
LONGEST_FIELD = 5_000


@dataclass(frozen=True)
class KeptForm:
    """What a person had typed, and where it was to be sent."""

    action: str
    fields: Mapping[str, str]

    def value(self, action: str, field: str) -> str:
        """Return what was typed into a field of the form with this action, nothing for any other form."""
        return self.fields.get(field, "") if action == self.action else ""


async def keep(session: Session, cookie: str, subject: str, action: str, fields: Mapping[str, str]) -> str | None:
    """Return the key of a kept form; None when there is nothing to keep, or this session has kept its share."""
    typed = {name: text for name, text in fields.items() if text.strip() and len(text) <= LONGEST_FIELD}
    session_hash = session_cookie.id_of(cookie)
    count = select(func.count()).where(KeptFormRow.session_hash == session_hash, KeptFormRow.until > now())
    if not typed or len(fields) > _MOST_FIELDS or (await session.execute(count)).scalar_one() >= _MOST_FORMS:
        return None
    key = session_cookie.new_cookie()
    content = orjson.dumps([action, typed])
    session.add(
        KeptFormRow(
            id_hash=session_cookie.id_of(key),
            session_hash=session_hash,
            subject=subject,
            sealed=session_cookie.seal(key, content),
            until=now() + _KEPT,
        )
    )
    return key


async def find(session: ReadSession, key: str, subject: str) -> KeptForm | None:
    """Return a kept form to the person who typed it, and to nobody else."""
    if not session_cookie.is_cookie(key):
        return None
    row = await session.get(KeptFormRow, session_cookie.id_of(key))
    if row is None or row.subject != subject or row.until <= now():
        return None
    try:
        action, fields = orjson.loads(session_cookie.unseal(key, row.sealed))
    except session_cookie.NotSealedWithThisKey:
        return None
    return KeptForm(action, fields)


async def forget(session: Session) -> None:
    """Remove what nobody came back for."""
    await session.execute(delete(KeptFormRow).where(KeptFormRow.until <= now()))
