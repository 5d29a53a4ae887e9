"""Comparing a restored log with what somebody kept of it elsewhere: a head in a backup, and the mirror."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select

from mlops_platform.audit import service
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import MirroredEvent
from mlops_platform.audit.merkle import Frontier, leaf_hash
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow, AuditTreeRow
from mlops_platform.database.session import Database

# an event's time is set before its commit: what is this much older than a moment had been committed at it
_COMMITTED_WITHIN = timedelta(seconds=60)
_AT_ONCE = 1_000


@dataclass(frozen=True)
class MissingEvent:
    """An event that the mirror has and the restored log has not."""

    seq: int
    at: str
    action: str
    resource: str


async def head_before(database: Database, moment: datetime) -> SignedHead | None:
    """Return the newest head whose events had certainly been committed at a moment, None for a log that was empty then."""
    async with database.read_session() as session:
        row = await session.scalar(
            select(AuditHeadRow)
            .where(AuditHeadRow.at <= moment - _COMMITTED_WITHIN)
            .order_by(AuditHeadRow.size.desc())
            .limit(1)
        )
    return None if row is None else SignedHead(row.size, row.root, row.at, row.signature)


async def objection(database: Database, size: int, root: str) -> str | None:
    """Return what speaks against the log containing a head of `size` events and this root (hex); None when nothing does.

    Reads the first `size` events and computes their root anew: an event that was edited gives another one.
    """
    frontier, seq = Frontier(), 0
    async with database.read_session() as session:
        while seq < size:
            rows = (
                await session.execute(
                    select(AuditEventRow.seq, AuditEventRow.payload)
                    .where(AuditEventRow.seq > seq, AuditEventRow.seq <= size)
                    .order_by(AuditEventRow.seq)
                    .limit(_AT_ONCE)
                )
            ).all()
            if not rows:
                return (
                    f"the restored audit log ends at event {seq}, and the backup's head says that event {size} existed"
                )
            for found, payload in rows:
                if found != seq + 1:
                    return f"event {seq + 1} of the restored audit log is missing"
                frontier, seq = frontier.append(leaf_hash(payload.encode())), found
    if frontier.root().hex() != root:
        return f"the first {size} events of the restored audit log do not give the root of the backup's head"
    return None


async def missing(database: Database) -> list[MissingEvent] | None:
    """Return the mirror's events beyond the end of the log, in order; None without a mirror. Raises MirrorUnavailable."""
    async with database.read_session() as session:
        mirror = service.audit_log(session).mirror
        tree = await session.scalar(select(AuditTreeRow).where(AuditTreeRow.id == 1))
    if mirror is None:
        return None
    size = tree.size if tree else 0
    newest = await asyncio.to_thread(mirror.newest)
    if newest is None or newest.size <= size:
        return []
    return [_named(event) for event in await asyncio.to_thread(mirror.sealed_after, size)]


def _named(event: MirroredEvent) -> MissingEvent:
    told: dict[str, Any] = orjson.loads(event.payload)
    return MissingEvent(event.seq, told["at"], told["action"], event.resource)
