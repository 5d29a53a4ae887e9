"""What the platform remembers about its own log, signed: how far it is anchored, how far it was verified, what was found.

A mark is a note that saves work. Somebody who changes one without the key only makes the next pass do the work again; an
older mark put back says nothing that was not true then.
"""

from typing import Any, Literal

import orjson
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit.heads import statement_holds
from mlops_platform.audit.service import audit_log
from mlops_platform.audit.tables import AuditMarkRow
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.kit.canonical import canonical_bytes

MarkName = Literal["anchored", "verified", "result"]


async def read(session: ReadSession | Session, name: MarkName) -> dict[str, Any] | None:
    """Return what a mark says; None when there is none, or none that this platform's key has signed."""
    row = await session.get(AuditMarkRow, name, populate_existing=True)
    if row is None or not statement_holds(audit_log(session).public_key, _statement(name, row.content), row.signature):
        return None
    content: dict[str, Any] = orjson.loads(row.content)
    return content


async def write(session: Session, name: MarkName, content: dict[str, Any]) -> None:
    """Replace a mark."""
    text = canonical_bytes(content).decode()
    values = {"content": text, "signature": audit_log(session).sign_statement(_statement(name, text))}
    statement = insert(AuditMarkRow).values(name=name, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def _statement(name: str, content: str) -> bytes:
    # a signature over a mark must never be one over a head
    return b"mlops audit mark\0" + name.encode() + b"\0" + content.encode()
