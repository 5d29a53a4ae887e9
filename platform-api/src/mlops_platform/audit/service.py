"""Recording events in the caller's transaction, and reading them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio
import orjson
import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit.actions import Action
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.merkle import Frontier, leaf_hash
from mlops_platform.audit.schemas import AuditEvent, AuditHead, SystemActor
from mlops_platform.audit.signing import AuditLog
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow, AuditIdentityRow, AuditTreeRow
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.kit.clock import now
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

_TO_APPEND, _TO_ANCHOR = "audit_events_to_append", "audit_heads_to_anchor"


def audit_log(session: Session | ReadSession) -> AuditLog:
    """Return the keys and anchor this session's database was opened with."""
    found: AuditLog = session.info["audit_log"]
    return found


@dataclass(frozen=True)
class _Waiting:
    """An event that is appended when its transaction commits."""

    action: Action
    actor: str
    shown: str
    resource: str
    tenant: str
    details: dict[str, Any]


async def record(
    session: Session,
    *,
    action: Action | str,
    actor: Principal | SystemActor,
    resource: str,
    tenant: str,
    details: dict[str, Any],
) -> None:
    """Record one event with what the caller's transaction changes: both happen or neither.

    It gets its place in the log when the transaction commits (`append`). People appear as keyed hashes in what is hashed.
    `details` must be JSON and must not name data subjects. Raises ValueError for an action that audit/actions.py does not
    declare.
    """
    action = Action(action)
    name = f"system:{actor.name}" if isinstance(actor, SystemActor) else audit_log(session).pseudonym(actor.subject)
    if isinstance(actor, Principal):
        await session.execute(
            insert(AuditIdentityRow).values(actor=name, subject=actor.subject).on_conflict_do_nothing()
        )
    shown = actor.name if isinstance(actor, SystemActor) else actor.subject
    session.info.setdefault(_TO_APPEND, []).append(_Waiting(action, name, shown, resource, tenant, details))


async def append(session: Session) -> list[AuditEvent]:
    """Append what this session has recorded; bootstrap gives this to the database, which calls it before each commit.

    The lock on the tree's single row gives all events one order, from here to the commit: whoever calls this earlier, to
    learn an event's number, makes every other transaction wait until then.
    """
    waiting: list[_Waiting] = session.info.pop(_TO_APPEND, [])
    if not waiting:
        return []
    audit = audit_log(session)
    tree = await locked_tree(session)
    frontier = Frontier(tree.size, tuple(tree.frontier))
    at = now()
    appended, heads = [], []
    for event in waiting:
        told: dict[str, Any] = {"seq": frontier.size + 1, "action": event.action.value}
        told |= {"resource": event.resource, "tenant": event.tenant}
        hashed = {**told, "at": at.isoformat(), "actor": event.actor, "details": event.details}
        payload = canonical_bytes(hashed)
        frontier = frontier.append(leaf_hash(payload))
        heads.append(audit.sign(frontier.size, frontier.root().hex(), at))
        session.add(AuditEventRow(**told, at=at, actor=event.actor, payload=payload.decode()))
        appended.append(AuditEvent(**told, at=at, actor=event.shown, details=event.details))
    tree.size, tree.frontier = frontier.size, list(frontier.roots)
    # heads refer to events
    await session.flush()
    session.add_all(
        AuditHeadRow(size=head.size, root=head.root, at=head.at, signature=head.signature) for head in heads
    )
    await session.flush()
    session.info.setdefault(_TO_ANCHOR, []).extend(heads)
    for event in waiting:
        metrics.audit_events_total.labels(event.action.value).inc()
    return appended


async def locked_tree(session: Session) -> AuditTreeRow:
    """Return the tree's row, locked until the transaction ends: nothing else is recorded meanwhile."""
    query = select(AuditTreeRow).where(AuditTreeRow.id == 1).with_for_update().execution_options(populate_existing=True)
    tree = (await session.execute(query)).scalar_one_or_none()
    if tree is None:
        await session.execute(insert(AuditTreeRow).values(id=1, size=0, frontier=[]).on_conflict_do_nothing())
        tree = (await session.execute(query)).scalar_one()
    return tree


async def anchor_committed(session: Session) -> None:
    """Write the heads that this session has just committed into the anchor file; bootstrap gives this to the database.

    The file is flushed to disk in a thread, so that no other request waits for it. Never raises.
    """
    heads: list[SignedHead] = session.info.pop(_TO_ANCHOR, [])
    if not heads:
        return
    try:
        await anyio.to_thread.run_sync(audit_log(session).anchor, heads)
    except OSError:
        # the events are committed and must be answered as such; the worker's anchor job writes what is missing
        log.exception("audit heads not anchored", size=heads[-1].size)


async def events(
    session: ReadSession,
    *,
    action: str | None = None,
    resource: str | None = None,
    tenant: str | None = None,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[AuditEvent]:
    """Return events, newest first. Erased people appear by their pseudonym, and so does whose name was replaced in the table."""
    audit = audit_log(session)
    query = select(AuditEventRow, AuditIdentityRow.subject).outerjoin(
        AuditIdentityRow, AuditIdentityRow.actor == AuditEventRow.actor
    )
    if action:
        query = query.where(AuditEventRow.action.startswith(action, autoescape=True))
    if resource:
        query = query.where(AuditEventRow.resource == resource)
    if tenant:
        query = query.where(AuditEventRow.tenant == tenant)
    if since:
        query = query.where(AuditEventRow.at >= since)
    if cursor:
        query = query.where(AuditEventRow.seq < int(decode_cursor(cursor).get("seq", 0)))
    rows = (await session.execute(query.order_by(AuditEventRow.seq.desc()).limit(limit + 1))).all()
    items = [
        AuditEvent(
            seq=row.seq,
            at=row.at,
            action=row.action,
            actor=subject if subject and audit.pseudonym(subject) == row.actor else row.actor.removeprefix("system:"),
            resource=row.resource,
            tenant=row.tenant,
            details=orjson.loads(row.payload)["details"],
        )
        for row, subject in rows[:limit]
    ]
    return Page(items=items, next_cursor=encode_cursor({"seq": items[-1].seq}) if len(rows) > limit else None)


async def erase_identity(session: Session, *, actor: Principal | SystemActor, subject: str, tenant: str) -> bool:
    """Forget whose pseudonym it is, and record that it was forgotten; False when the log does not know the person.

    The events stay, under the pseudonym. Verification takes a name that is gone without this event for tampering; for one that
    was removed by hand before there was such an event, this writes it.
    """
    name = audit_log(session).pseudonym(subject)
    acted = select(AuditEventRow.seq).where(AuditEventRow.actor == name).limit(1)
    if await session.get(AuditIdentityRow, name) is None and await session.scalar(acted) is None:
        return False
    await record(
        session,
        action=Action.AUDIT_IDENTITY_ERASED,
        actor=actor,
        resource=f"audit:identity:{name}",
        tenant=tenant,
        details={},
    )
    # after the event: who erases their own name is its actor
    await session.execute(delete(AuditIdentityRow).where(AuditIdentityRow.actor == name))
    return True


async def head(session: ReadSession) -> AuditHead | None:
    """Return the newest signed head, or None for an empty log."""
    row = (await session.execute(select(AuditHeadRow).order_by(AuditHeadRow.size.desc()).limit(1))).scalar_one_or_none()
    return None if row is None else shown_head(session, row)


def shown_head(session: ReadSession | Session, row: AuditHeadRow) -> AuditHead:
    """Return a head with the key that verifies it."""
    return AuditHead(
        size=row.size,
        root=row.root,
        at=row.at,
        signature=row.signature,
        key_id=audit_log(session).key_id,
        public_key=audit_log(session).public_pem(),
    )


def signed(row: AuditHeadRow) -> SignedHead:
    """Return the head of a row."""
    return SignedHead(row.size, row.root, row.at, row.signature)
