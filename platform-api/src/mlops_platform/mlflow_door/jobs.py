"""Writing down what a door that died had begun."""

from datetime import timedelta

import structlog
from sqlalchemy import delete, select

from mlops_platform.audit import service as audit
from mlops_platform.dependencies import Services
from mlops_platform.failing.attempts import Item, attempts
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.mlflow_door.tables import PendingChangeRow
from mlops_platform.models import holding

log = structlog.get_logger(__name__)

NAME = "mlflow-pending-changes"
# longer than the door waits for MLflow's answer: what is older has no door any more
_PATIENCE = timedelta(minutes=11)
_MOST = 100


async def write_down_pending(services: Services) -> None:
    """Write the events of changes whose outcome no door saw, and copy what MLflow has. One that fails holds up no other.

    The event says that the outcome was not seen: the change was asked for by this person, and MLflow may have refused it.
    """
    async with services.database.read_session() as session:
        row = PendingChangeRow
        query = select(row.id, row.tenant, row.action, row.name).where(row.at < now() - _PATIENCE).limit(_MOST)
        waiting = (await session.execute(query.order_by(row.at))).all()
    tries = await attempts(services.database, NAME)
    for pending in waiting:
        item = Item(
            pending.id, f"event of {pending.action} for {pending.name}, whose outcome was not seen", pending.tenant
        )
        if tries.due(item.id):
            async with tries.attempt(item, through=None):
                await _write_down(services, pending.id)


async def _write_down(services: Services, pending: str) -> None:
    async with services.database.session() as session:
        query = select(PendingChangeRow).where(PendingChangeRow.id == pending).with_for_update(skip_locked=True)
        row = (await session.execute(query)).scalar_one_or_none()
        if row is None:
            return
        name = row.new_name or row.name
        await holding.lock_names(session, row.name, name)
        await holding.take_over_risk(services.database, services.registry, row.name)
        person = Principal(row.subject, frozenset(), row.tenant)
        there = await holding.copy(session, services.registry, row.name, _version(row.resource), person)
        if row.new_name is not None and not there:
            await holding.renamed(session, services.registry, row.name, row.new_name)
        await session.execute(delete(PendingChangeRow).where(PendingChangeRow.id == pending))
        await audit.record(
            session,
            action=row.action,
            actor=person,
            resource=row.resource,
            tenant=row.tenant,
            details={**row.details, "outcome": "not seen", "asked_at": row.at.isoformat()},
        )


def _version(resource: str) -> int | None:
    last = resource.rsplit(":", 1)[1]
    return int(last) if resource.count(":") > 1 and last.isdigit() else None


JOBS = (Job(NAME, 60, write_down_pending),)
