"""After a restore, before anything new is recorded: what the anchored heads prove to have existed and the database lost."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from mlops_platform.audit import anchoring, service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor, Verification
from mlops_platform.audit.tables import AuditTreeRow
from mlops_platform.audit.verify import verify
from mlops_platform.database.session import Database


@dataclass(frozen=True)
class LostEvents:
    """Events that signed heads prove to have existed: their numbers, and when the first and the last were recorded."""

    first: int
    last: int
    since: datetime
    until: datetime


@dataclass(frozen=True)
class AfterRestore:
    """What was found; `verification` is None while a mirror may hold what is lost: `mlops audit recover` comes first then."""

    lost: LostEvents | None
    verification: Verification | None


async def settle(database: Database, backup: str, moment: datetime) -> AfterRestore:
    """Compare the restored log with the anchor file, record the restore and what it lost, and verify the log.

    The anchor file begins anew where the log now ends; the old one is kept beside it. With a mirror nothing is recorded as
    long as events are missing: they can be brought back, and a log that went on could not take them. Raises OSError.
    """
    async with database.read_session() as session:
        audit = service.audit_log(session)
        tree = await session.scalar(select(AuditTreeRow).where(AuditTreeRow.id == 1))
    size = tree.size if tree else 0
    anchored = await asyncio.to_thread(audit.anchors.read)
    beyond = sorted((head.size, head.at) for head in anchored.heads if head.size > size)
    lost = LostEvents(size + 1, beyond[-1][0], beyond[0][1], beyond[-1][1]) if beyond else None
    if lost is not None and audit.mirror is not None:
        return AfterRestore(lost, None)
    async with database.session() as session:
        if lost is not None:
            reason = f"restored from backup {backup}; events {lost.first} to {lost.last} were recorded after its moment and are lost"
            await anchoring.renew(session, reason)
        await service.record(
            session,
            action=Action.PLATFORM_RESTORED,
            actor=SystemActor("restore"),
            resource="platform:home",
            tenant="default",
            details={
                "backup": backup,
                "moment": moment.isoformat(),
                "lost": None if lost is None else {"first": lost.first, "last": lost.last},
            },
        )
    async with database.read_session() as session:
        return AfterRestore(lost, await verify(session))
