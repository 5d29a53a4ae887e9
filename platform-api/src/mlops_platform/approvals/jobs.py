"""Requests nobody decides on expire; who keeps whom waiting is measured."""

from mlops_platform.approvals import reading, service
from mlops_platform.approvals.waiting import by_role
from mlops_platform.dependencies import Services
from mlops_platform.failing.attempts import Item, attempts
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.policy.loading import load
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family
from mlops_platform.telemetry.items import apart

_PENDING = Family(metrics.approvals_pending, gone=0)
_OLDEST = Family(metrics.approvals_oldest_pending_seconds, gone=0)
_LATE = Family(metrics.approvals_over_sla, gone=0)
_SLA = Family(metrics.approval_sla_seconds)


async def expire_overdue(services: Services) -> None:
    """Expire every request whose time is over, each in its own transaction: one that fails holds up no other."""
    async with services.database.read_session() as session:
        overdue = await service.overdue(session)
    tries = await attempts(services.database, "approval-expiry", overdue)
    for approval_id in filter(tries.due, overdue):
        item = Item(approval_id, f"end of the approval request {approval_id}", overdue[approval_id])
        async with tries.attempt(item), services.database.session() as session:
            await service.expire(session, services.approval_subjects, approval_id)


async def measure(services: Services) -> None:
    """Show what waits for each role, and for how long."""
    hours = load(services.settings.policy_file).sla_hours
    async with services.database.read_session() as session:
        found = by_role(await reading.still_missing(session), hours, now())
    _PENDING.replace({(role.value,): waiting.pending for role, waiting in found.items()})
    _OLDEST.replace({(role.value,): waiting.oldest_seconds for role, waiting in found.items()})
    _LATE.replace({(role.value,): waiting.over_sla for role, waiting in found.items()})
    _SLA.replace({(role.value,): due * 3_600 for role, due in hours.items()})


async def remind(services: Services) -> None:
    """Remind of every request that is overdue, each in its own transaction."""
    async with services.database.read_session() as session:
        due = await service.due(session)
    for approval_id in due:
        with apart("approval-reminders", approval=approval_id):
            async with services.database.session() as session:
                await service.remind(session, approval_id)


# measuring is reading: every worker does it, so that none shows what was true when it last held the lock
JOBS = (
    Job("approval-expiry", 5, expire_overdue),
    Job("approval-reminders", 60, remind),
    Job("approval-metrics", 10, measure, exclusive=False),
)
