"""Bringing back what a restored database has lost and the mirror still has."""

import asyncio
from datetime import datetime

import orjson

from mlops_platform.audit import service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.interfaces import Mirror, MirrorConflict
from mlops_platform.audit.merkle import Frontier
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow
from mlops_platform.database.session import Session


async def recover(session: Session, mirror: Mirror) -> int:
    """Append the sealed events that the log lost, and record that this was done; return how many there were.

    Signatures are deterministic, so the heads are those that were lost, bit by bit. Raises MirrorConflict, and leaves the
    log as it is, when events and seal do not lead on from it: then something was recorded after the restore, or changed.
    """
    tree = await service.locked_tree(session)
    newest = await asyncio.to_thread(mirror.newest)
    if newest is None or newest.size <= tree.size:
        return 0
    audit = service.audit_log(session)
    frontier = Frontier(tree.size, tuple(tree.frontier))
    lost = await asyncio.to_thread(mirror.sealed_after, frontier.size)
    heads = []
    for event in lost:
        frontier = frontier.append(event.leaf)
        told = orjson.loads(event.payload)
        at = datetime.fromisoformat(told["at"])
        named = {name: told[name] for name in ("action", "actor", "resource", "tenant")}
        session.add(AuditEventRow(seq=frontier.size, at=at, payload=event.payload, **named))
        head = audit.sign(frontier.size, frontier.root().hex(), at)
        heads.append(AuditHeadRow(size=head.size, root=head.root, at=head.at, signature=head.signature))
    if (frontier.size, frontier.root().hex()) != (newest.size, newest.root):
        raise MirrorConflict(
            f"The log's {tree.size} events and what the mirror holds after them do not give the root it has sealed for "
            f"{newest.size}; nothing was brought back."
        )
    await session.flush()
    session.add_all(heads)
    first, tree.size, tree.frontier = tree.size + 1, frontier.size, list(frontier.roots)
    await session.flush()
    await service.record(
        session,
        action=Action.AUDIT_LOG_RECOVERED,
        actor=SystemActor("recovery"),
        resource="audit:log",
        tenant="default",
        details={"first": first, "last": frontier.size, "root": newest.root},
    )
    return len(lost)
