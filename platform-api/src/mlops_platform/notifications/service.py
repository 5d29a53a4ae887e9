"""What a person wants to hear of, and what could not be delivered."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import NotFound
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.people import address_of
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.notifications.audience import Wishes
from mlops_platform.notifications.notice import Kind
from mlops_platform.notifications.schemas import (
    ChannelView,
    DeadLetter,
    UndeliveredView,
    WishesRequest,
    WishesView,
)
from mlops_platform.notifications.spreading import wishes_of
from mlops_platform.notifications.tables import ChannelStateRow, DeliveryRow, NoticeRow, WishesRow

LOOK_AFTER = "metrics:read"


class DeadLetterNotFound(NotFound):
    """There is none, or it was sent."""

    def __init__(self) -> None:
        super().__init__("There is no such dead letter (any more); `mlops notifications dead` lists those there are.")


async def wishes(session: ReadSession | Session, caller: Principal) -> WishesView:
    """Return what the caller is told of."""
    found = (await wishes_of(session, [caller.subject])).get(caller.subject, Wishes())
    return WishesView(
        address=await address_of(session, caller.subject),
        email=found.email,
        kinds={kind: kind not in found.muted for kind in Kind},
    )


async def wish(session: Session, caller: Principal, body: WishesRequest) -> WishesView:
    """Change what the caller is told of; addresses are not theirs to choose: the identity provider vouches for one."""
    before = (await wishes_of(session, [caller.subject])).get(caller.subject, Wishes())
    muted = {kind.value for kind in Kind if not body.kinds.get(kind, kind not in before.muted)}
    values = {
        "email": before.email if body.email is None else body.email,
        "muted": sorted(muted),
        "changed_at": now(),
    }
    statement = insert(WishesRow).values(subject=caller.subject, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=values))
    return await wishes(session, caller)


async def undelivered(session: ReadSession, authorizer: Authorizer, caller: Principal) -> UndeliveredView:
    """Return what waits for each channel, and the newest dead letters of teams the caller may look after."""
    query = (
        select(DeliveryRow, NoticeRow)
        .join(NoticeRow, NoticeRow.id == DeliveryRow.notice_id)
        .where(DeliveryRow.state == "dead")
        .order_by(DeliveryRow.seq.desc())
        .limit(100)
    )
    dead = [
        DeadLetter(
            id=delivery.id,
            channel=delivery.channel,
            recipient=delivery.recipient,
            kind=notice.kind,
            tenant=notice.tenant,
            sentence=notice.sentence,
            problem=delivery.problem,
            attempts=delivery.attempts,
            created_at=notice.created_at,
            ended_at=delivery.ended_at,
        )
        for delivery, notice in (await session.execute(query)).all()
        if authorizer.allowed(caller, LOOK_AFTER, notice.tenant)
    ]
    return UndeliveredView(channels=await channel_views(session), dead=dead)


async def channel_views(session: ReadSession) -> list[ChannelView]:
    """Return what waits for each channel that ever had something to do."""
    counted = select(DeliveryRow.channel, DeliveryRow.state, func.count()).where(DeliveryRow.state != "sent")
    counts: dict[str, dict[str, int]] = {}
    for channel, state, count in await session.execute(counted.group_by(DeliveryRow.channel, DeliveryRow.state)):
        counts.setdefault(channel, {})[state] = count
    away: dict[str, tuple[datetime | None, str]] = {
        row.channel: (row.away_since, row.problem) for row in await session.scalars(select(ChannelStateRow))
    }
    return [
        ChannelView(
            channel=name,
            waiting=counts.get(name, {}).get("waiting", 0),
            dead=counts.get(name, {}).get("dead", 0),
            away_since=away.get(name, (None, ""))[0],
            problem=away.get(name, (None, ""))[1],
        )
        for name in sorted({*counts, *away})
    ]


async def retry(session: Session, authorizer: Authorizer, caller: Principal, delivery_id: str) -> None:
    """Let a dead letter be tried again; one that waits already goes on waiting.

    Raises DeadLetterNotFound, also for a letter of a team the caller may not look after.
    """
    query = select(DeliveryRow, NoticeRow.tenant).join(NoticeRow, NoticeRow.id == DeliveryRow.notice_id)
    wanted = query.where(DeliveryRow.id == delivery_id, DeliveryRow.state != "sent").with_for_update(of=DeliveryRow)
    found = (await session.execute(wanted)).one_or_none()
    if found is None or not authorizer.allowed(caller, LOOK_AFTER, found.tenant):
        raise DeadLetterNotFound
    row = found.DeliveryRow
    if row.state == "dead":
        row.state, row.attempts, row.next_at, row.ended_at = "waiting", 0, now(), None
