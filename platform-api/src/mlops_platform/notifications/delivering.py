"""Sending copies: in order within a lane, once by whichever worker, each channel apart from the others.

A copy that is being sent is leased, in the database, for longer than sending may take. What was sent and not noted, because
the worker died in between, is sent again with the same id.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import anyio
import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Database, Session
from mlops_platform.kit.clock import now
from mlops_platform.notifications.interfaces import Channel, ChannelAway, Item, Message, MessageRefused
from mlops_platform.notifications.keeping import (
    LEASE,
    MOST_DELAYS,
    MOST_REFUSALS,
    SEND_SECONDS,
    pause_of_channel,
    pause_of_message,
)
from mlops_platform.notifications.spreading import item_of
from mlops_platform.notifications.tables import ChannelStateRow, DeliveryRow, NoticeRow
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

_BATCH = 200
_AT_ONCE = 8
# more than this for one recipient at one time come as one message
_FEW = 3
_MOST_IN_A_DIGEST = 50
_PASS_SECONDS = 5.0


@dataclass(frozen=True)
class Copy:
    """A leased copy."""

    id: str
    lane: str
    message_id: str
    recipient: str
    item: Item


async def deliver(database: Database, channels: Sequence[Channel], url: str) -> None:
    """Send what is due, every channel by itself: one that is slow or away stops no other."""
    ended = await asyncio.gather(*(_channel(database, channel, url) for channel in channels), return_exceptions=True)
    for failure in ended:
        if isinstance(failure, BaseException):
            raise failure


async def _channel(database: Database, channel: Channel, url: str) -> None:
    until = time.monotonic() + _PASS_SECONDS
    while time.monotonic() < until:
        away = await _state_of(database, channel.name)
        if away is not None and away.next_at > now():
            return
        # a channel that was away is asked with one message first
        copies = await _lease(database, channel, url, 1 if away is not None else _BATCH)
        if not copies or not await _send_all(database, channel, copies):
            return


async def _send_all(database: Database, channel: Channel, copies: list[Copy]) -> bool:
    """Send leased copies, lanes beside each other; return whether the channel took them (each, or said why not)."""
    limit, away = asyncio.Semaphore(_AT_ONCE), asyncio.Event()
    # the lease must outlast the last message that is begun
    until = time.monotonic() + LEASE.total_seconds() - 2 * SEND_SECONDS

    async def lane_of(lane: list[Copy]) -> None:
        async with limit:
            messages = _grouped(lane, lambda copy: copy.message_id)
            while messages and not away.is_set() and time.monotonic() < until:
                goes_on = await _send(database, channel, messages[0], away)
                if away.is_set():
                    break
                del messages[0]
                if not goes_on:
                    break
            await _release(database, [copy.id for message in messages for copy in message])

    await asyncio.gather(*(lane_of(lane) for lane in _grouped(copies, lambda copy: copy.lane)))
    return not away.is_set()


def _grouped(copies: Iterable[Copy], key: Callable[[Copy], str]) -> list[list[Copy]]:
    """Return copies with the same key together, in the order of the first of each."""
    found: dict[str, list[Copy]] = {}
    for copy in copies:
        found.setdefault(key(copy), []).append(copy)
    return list(found.values())


async def _send(database: Database, channel: Channel, copies: list[Copy], away: asyncio.Event) -> bool:
    """Send one message; return whether the next of its lane may follow."""
    message = Message(copies[0].message_id, copies[0].recipient, [copy.item for copy in copies])
    ids = [copy.id for copy in copies]
    try:
        with anyio.fail_after(SEND_SECONDS):
            await channel.send(message)
    except TimeoutError:
        await _away(database, channel.name, ChannelAway("it did not answer in time"))
        away.set()
        return False
    except ChannelAway as error:
        await _away(database, channel.name, error)
        away.set()
        return False
    except MessageRefused as error:
        return await _refused(database, channel.name, ids, error)
    await _sent(database, channel.name, ids)
    return True


async def _lease(database: Database, channel: Channel, url: str, most: int) -> list[Copy]:
    """Return copies that are due and first in their lanes, leased to this worker."""
    at = now()
    async with database.session() as session:
        # one worker chooses at a time: two of them would share a lane
        key = int.from_bytes(sha256(f"notices:{channel.name}".encode()).digest()[:8], signed=True)
        await session.execute(select(func.pg_advisory_xact_lock(key)))
        waiting = (DeliveryRow.channel == channel.name, DeliveryRow.state == "waiting")
        # leased, or waiting for another try: what comes later in its lane waits too
        busy = select(DeliveryRow.lane).where(*waiting, DeliveryRow.next_at > at)
        query = (
            select(DeliveryRow, NoticeRow)
            .join(NoticeRow, NoticeRow.id == DeliveryRow.notice_id)
            .where(*waiting, DeliveryRow.lane.not_in(busy))
            .order_by(DeliveryRow.seq)
            .limit(most)
        )
        found = [(delivery, notice) for delivery, notice in (await session.execute(query)).all()]
        _name_messages([delivery for delivery, _ in found], digests=channel.digests)
        copies = []
        for delivery, notice in found:
            delivery.next_at = at + LEASE
            try:
                item = item_of(notice, url)
            except ValueError:
                # of a newer program, or damaged: it holds up nobody, and is seen
                delivery.state, delivery.ended_at, delivery.problem = "dead", at, "this program cannot read it"
                continue
            copies.append(Copy(delivery.id, delivery.lane, delivery.message_id or "", delivery.recipient, item))
        return copies


def _name_messages(deliveries: Iterable[DeliveryRow], *, digests: bool) -> None:
    """Say which copies go as one message. One that was tried before stays as it was: its id means the same content."""
    lanes: dict[str, list[DeliveryRow]] = {}
    for delivery in deliveries:
        if delivery.message_id is None:
            lanes.setdefault(delivery.lane, []).append(delivery)
    for lane in lanes.values():
        if not digests or len(lane) <= _FEW:
            for delivery in lane:
                delivery.message_id = delivery.id
            continue
        for first in range(0, len(lane), _MOST_IN_A_DIGEST):
            message_id = str(uuid.UUID(bytes=sha256(lane[first].id.encode()).digest()[:16]))
            for delivery in lane[first : first + _MOST_IN_A_DIGEST]:
                delivery.message_id = message_id


async def _sent(database: Database, channel: str, ids: list[str]) -> None:
    async with database.session() as session:
        await _set(session, ids, state="sent", ended_at=now(), problem="")
        state = update(ChannelStateRow).where(ChannelStateRow.channel == channel, ChannelStateRow.failures > 0)
        await session.execute(state.values(failures=0, away_since=None, next_at=now(), problem=""))
    metrics.notice_deliveries_total.labels(channel, "sent").inc(len(ids))


async def _refused(database: Database, channel: str, ids: list[str], error: MessageRefused) -> bool:
    async with database.session() as session:
        rows = (await session.scalars(select(DeliveryRow).where(DeliveryRow.id.in_(ids)).with_for_update())).all()
        dead = False
        for row in rows:
            row.attempts, row.problem = row.attempts + 1, error.sentence
            row.next_at = now() + pause_of_message(row.attempts)
            if row.attempts >= (MOST_DELAYS if error.later else MOST_REFUSALS):
                row.state, row.ended_at, dead = "dead", now(), True
    metrics.notice_deliveries_total.labels(channel, "dead" if dead else "refused").inc(len(ids))
    log.warning("a message was refused", channel=channel, problem=error.sentence, dead=dead)
    # the lane goes on behind a dead one, and waits behind one that is tried again
    return dead


async def _away(database: Database, channel: str, error: ChannelAway) -> None:
    async with database.session() as session:
        at = now()
        statement = insert(ChannelStateRow).values(
            channel=channel,
            failures=1,
            away_since=at,
            next_at=at + pause_of_channel(1, error.retry_after),
            problem=error.sentence,
        )
        await session.execute(statement.on_conflict_do_nothing())
        row = (
            await session.scalars(select(ChannelStateRow).where(ChannelStateRow.channel == channel).with_for_update())
        ).one()
        if row.away_since != at:
            # several lanes notice the same outage: it counts once
            if row.failures == 0 or row.next_at <= at:
                row.failures += 1
                row.next_at = at + pause_of_channel(row.failures, error.retry_after)
            row.away_since, row.problem = row.away_since or at, error.sentence
    metrics.notice_deliveries_total.labels(channel, "away").inc()
    log.warning("a channel takes nothing", channel=channel, problem=error.sentence)


async def _release(database: Database, ids: list[str]) -> None:
    """Give copies back that were leased and not tried, or found the channel away."""
    if not ids:
        return
    async with database.session() as session:
        statement = update(DeliveryRow).where(DeliveryRow.id.in_(ids), DeliveryRow.state == "waiting")
        await session.execute(statement.values(next_at=now()))


async def _state_of(database: Database, channel: str) -> ChannelStateRow | None:
    """Return the state of a channel that is away, None for one that works."""
    async with database.read_session() as session:
        row = await session.get(ChannelStateRow, channel)
        return row if row is not None and row.failures > 0 else None


async def _set(session: Session, ids: list[str], **values: object) -> None:
    await session.execute(update(DeliveryRow).where(DeliveryRow.id.in_(ids)).values(**values))
