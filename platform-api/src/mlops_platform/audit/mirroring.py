"""Copying the log into its mirror, after the fact: no transaction that records an event waits for it."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import func, select

from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import Mirror, MirrorConflict, MirroredEvent, Seal
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow
from mlops_platform.database.session import Database, ReadSession

_EVENTS_PER_BATCH = 200


@dataclass(frozen=True)
class Reached:
    """Events in the mirror, and events in the log when it was asked."""

    mirrored: int
    recorded: int


async def copy_missing(database: Database, mirror: Mirror, most_batches: int = 20) -> Reached:
    """Copy what the mirror does not have yet, in batches, and return how far it got.

    How far the mirror is, only the mirror says, so a pass may be killed anywhere: the next one gives the batch again.
    Raises MirrorUnavailable, and MirrorConflict when the log is not the continuation of what the mirror holds.
    """
    newest = await asyncio.to_thread(mirror.newest)
    async with database.read_session() as session:
        recorded = (await session.execute(select(func.max(AuditHeadRow.size)))).scalar_one() or 0
        await _must_continue(session, newest)
    mirrored = newest.size if newest else 0
    for _ in range(most_batches):
        # no connection is held while the mirror works
        async with database.read_session() as session:
            batch = await _batch_after(session, mirrored)
        if batch is None:
            break
        events, head = batch
        await asyncio.to_thread(mirror.keep, events, head)
        mirrored = head.size
    return Reached(mirrored, max(mirrored, recorded))


async def _must_continue(session: ReadSession, newest: Seal | None) -> None:
    if newest is None:
        return
    head = await session.get(AuditHeadRow, newest.size)
    if head is None:
        raise MirrorConflict(f"The mirror holds {newest.size} events; the log has no head of that size any more.")
    if head.root != newest.root:
        raise MirrorConflict(f"The first {newest.size} events of the log are not those that the mirror holds.")


async def _batch_after(session: ReadSession, size: int) -> tuple[list[MirroredEvent], SignedHead] | None:
    query = select(AuditEventRow).where(AuditEventRow.seq > size).order_by(AuditEventRow.seq).limit(_EVENTS_PER_BATCH)
    rows = list((await session.execute(query)).scalars())
    if not rows:
        return None
    # events get their numbers under a lock that is held until the commit: a hole is not somebody still writing
    last = size + len(rows)
    head = await session.get(AuditHeadRow, last)
    if rows[-1].seq != last or head is None:
        raise MirrorConflict(f"Events or heads between {size + 1} and {rows[-1].seq} are missing in the log.")
    return (
        [MirroredEvent(row.seq, row.tenant, row.resource, row.payload) for row in rows],
        SignedHead(head.size, head.root, head.at, head.signature),
    )
