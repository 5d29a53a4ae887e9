"""From a notice to one copy for each recipient of each channel."""

from collections.abc import Sequence

import structlog
from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Database, ReadSession, Session
from mlops_platform.identity.people import who_may_be_concerned
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.notifications.audience import Address, Wishes, addresses, concerned
from mlops_platform.notifications.interfaces import Channel, Item
from mlops_platform.notifications.keeping import KEPT
from mlops_platform.notifications.notice import Kind
from mlops_platform.notifications.tables import DeliveryRow, NoticeRow, WishesRow
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.items import apart

log = structlog.get_logger(__name__)
_BATCH = 200


async def spread(database: Database, channels: Sequence[Channel], url: str) -> int:
    """Make the copies of every notice that has none yet; return how many notices got theirs.

    They go together; when one of them cannot be read, each goes in a transaction of its own and only that one waits.
    """
    async with database.read_session() as session:
        query = select(NoticeRow.id).where(NoticeRow.spread_at.is_(None)).order_by(NoticeRow.seq).limit(_BATCH)
        waiting = list(await session.scalars(query))
    try:
        async with database.session() as session:
            return await _spread_all(session, channels, url, waiting)
    except (ValueError, LookupError):
        log.warning("notices are spread one by one: one of them cannot be read")
    done = 0
    for notice_id in waiting:
        with apart("notices", notice=notice_id):
            async with database.session() as session:
                done += await _spread_all(session, channels, url, [notice_id])
    return done


async def _spread_all(session: Session, channels: Sequence[Channel], url: str, ids: list[str]) -> int:
    # what another worker has is left to it
    query = select(NoticeRow).where(NoticeRow.id.in_(ids), NoticeRow.spread_at.is_(None)).order_by(NoticeRow.seq)
    rows = (await session.scalars(query.with_for_update(skip_locked=True))).all()
    roles = {role for row in rows for role in row.audience["roles"]}
    named = {subject for row in rows for subject in row.audience["people"]}
    known = await who_may_be_concerned(session, roles, named)
    wishes = await wishes_of(session, [person.subject for person in known])
    copies: list[dict[str, object]] = []
    for row in rows:
        audience = row.audience
        people = concerned(known, audience["roles"], audience["people"], row.tenant)
        found = addresses(channels, item_of(row, url), people, wishes, audience["but"])
        copies += [_copy(row, to) for to in found]
        row.spread_at, row.copies = now(), len(found)
        log.info("notice", kind=row.kind, tenant=row.tenant, subject=row.subject, copies=len(found))
    if copies:
        await session.execute(insert(DeliveryRow).on_conflict_do_nothing(), copies)
    await session.flush()
    for row in rows:
        metrics.notices_total.labels(row.kind).inc()
    return len(rows)


def _copy(row: NoticeRow, to: Address) -> dict[str, object]:
    return {
        "id": new_id(),
        "notice_id": row.id,
        "seq": row.seq,
        "channel": to.channel,
        "recipient": to.recipient,
        "lane": to.lane,
        "state": "waiting",
        "message_id": None,
        "attempts": 0,
        "next_at": now(),
        "problem": "",
        "ended_at": None,
    }


def item_of(row: NoticeRow, url: str) -> Item:
    """Return a notice as channels send it; its link is a page of this platform, whoever wrote it."""
    return Item(Kind(row.kind), row.subject, row.tenant, row.sentence, f"{url}{row.page}", row.created_at, row.pages)


async def wishes_of(session: ReadSession | Session, subjects: list[str]) -> dict[str, Wishes]:
    """Return the wishes of those people who said some."""
    rows = await session.scalars(select(WishesRow).where(WishesRow.subject.in_(subjects)))
    known = {kind.value for kind in Kind}
    return {
        row.subject: Wishes(row.email, frozenset(Kind(kind) for kind in row.muted if kind in known)) for row in rows
    }


async def forget(session: Session) -> None:
    """Remove notices of a month ago; one that still waits somewhere, or is dead, stays."""
    open_ = exists().where(DeliveryRow.notice_id == NoticeRow.id, DeliveryRow.state != "sent")
    await session.execute(delete(NoticeRow).where(NoticeRow.created_at < now() - KEPT, ~open_))
