"""What the tests of notices share: telling, one pass of the worker, and what came."""

from typing import Any

from sqlalchemy import func, select, update

from mlops_platform.adapters.notices.email import EmailChannel
from mlops_platform.adapters.notices.http import (
    WebhookChannel,
)
from mlops_platform.adapters.notices.rules import Rules
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.session import Database
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.kit.clock import now
from mlops_platform.notifications import delivering, spreading
from mlops_platform.notifications.interfaces import Channel
from mlops_platform.notifications.notice import Kind, Notice
from mlops_platform.notifications.outbox import tell
from mlops_platform.notifications.tables import ChannelStateRow, DeliveryRow

from ..support.receivers import SECRET, Mailbox, Receiver

URL = "http://127.0.0.1:8000"


def hook(receiver: Receiver, name: str = "hook", **rules: Any) -> WebhookChannel:
    return WebhookChannel(name, receiver.url, SECRET, Rules(**rules))


def mail(mailbox: Mailbox) -> EmailChannel:
    return EmailChannel("127.0.0.1", mailbox.port, "none", "mlops@company.com", None, None, frozenset({"company.com"}))


def notice(number: int = 1, subject: str = "approval:1", **more: Any) -> Notice:
    given = {"roles": (Role.MANAGER,), **more}
    return Notice(Kind.APPROVAL_REQUESTED, subject, "default", f"sentence {number}", "/console/approvals/1", **given)


async def told(database: Database, *notices: Notice) -> None:
    async with database.session() as session:
        for one in notices:
            await tell(session, one)


async def works(database: Database, *channels: Channel) -> None:
    """One pass of the worker's jobs, with every pause over."""
    await spreading.spread(database, channels, URL)
    async with database.session() as session:
        await session.execute(update(DeliveryRow).where(DeliveryRow.state == "waiting").values(next_at=now()))
        await session.execute(update(ChannelStateRow).values(next_at=now()))
    await delivering.deliver(database, channels, URL)


async def states(database: Database) -> dict[str, int]:
    async with database.read_session() as session:
        counted = select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
        return {row[0]: row[1] for row in await session.execute(counted)}


async def came(services: BuiltServices, email: str, *roles: str, tenant: str = "default") -> None:
    """Somebody was here, with a verified address."""
    found = frozenset(Role(role) for role in roles)
    await services.people.seen(Principal(email, found, tenant, address=email))


def sentences(receiver: Receiver) -> list[str]:
    return [body["data"]["sentence"] for body in receiver.bodies()]
