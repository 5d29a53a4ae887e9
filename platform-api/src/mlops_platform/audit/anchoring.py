"""Repairing the anchor file after an honest failure: a full disk, a kill between the commit and the append.

What was once seen in the file is never written there again by itself: when it is gone, somebody took it away.
"""

import asyncio

import structlog
from sqlalchemy import func, select

from mlops_platform.audit import marks, service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.audit.tables import AuditHeadRow
from mlops_platform.database.session import Database, ReadSession, Session

log = structlog.get_logger(__name__)

_HEADS_PER_PASS = 10_000


async def anchored_mark(session: ReadSession | Session) -> int:
    """Return up to which size every head was seen in the anchor file; 0 when nobody has looked yet."""
    mark = await marks.read(session, "anchored")
    return int(mark["size"]) if mark else 0


async def anchor_missing(session: ReadSession) -> int:
    """Append the heads that never reached the anchor file, and complete a line cut off by a crash; return how many.

    Raises OSError; then the next pass does it.
    """
    audit = service.audit_log(session)
    mark = await anchored_mark(session)
    # committed before the file is read, so whoever anchors them now is seen or is still about to append: twice is harmless
    query = select(AuditHeadRow).where(AuditHeadRow.size > mark).order_by(AuditHeadRow.size).limit(_HEADS_PER_PASS)
    heads = {row.size: service.signed(row) for row in (await session.execute(query)).scalars()}
    if not heads:
        return 0
    found = await asyncio.to_thread(audit.anchors.read)
    missing = {size: head for size, head in heads.items() if size not in found.sizes}
    repaired = 0
    if found.torn and (completed := audit.anchors.complete(missing)) is not None:
        log.warning("completed an audit anchor that a crash had cut off", size=completed.size)
        missing.pop(completed.size)
        repaired = 1
    if missing:
        await asyncio.to_thread(audit.anchor, list(missing.values()))
    return repaired + len(missing)


async def note_anchored(database: Database) -> int:
    """Remember how far the anchor file holds every head without a hole, and return it."""
    async with database.read_session() as session:
        before = await anchored_mark(session)
        newest = await session.scalar(select(func.max(AuditHeadRow.size))) or 0
        if newest <= before:
            return before
        sizes = (await asyncio.to_thread(service.audit_log(session).anchors.read)).sizes
    reached = before
    while reached + 1 in sizes:
        reached += 1
    if reached > before:
        async with database.session() as session:
            await marks.write(session, "anchored", {"size": reached})
    return reached


async def renew(session: Session, reason: str) -> int:
    """Write the whole anchor file anew from the database, and say so in the log; return the number of heads.

    For an administrator who has lost the file or found it damaged, and knows why. The old file is kept beside the new one.
    Raises OSError.
    """
    audit = service.audit_log(session)
    await service.locked_tree(session)
    query = select(AuditHeadRow).order_by(AuditHeadRow.size)
    heads: list[SignedHead] = [service.signed(row) for row in (await session.execute(query)).scalars()]
    await service.record(
        session,
        action=Action.AUDIT_ANCHORS_RENEWED,
        actor=SystemActor("anchors"),
        resource="audit:log",
        tenant="default",
        details={"heads": len(heads), "reason": reason},
    )
    await service.append(session)
    # last: a file that was renewed without the event would say nothing of it
    audit.anchors.replace(heads)
    return len(heads)
