"""Forgetting keys whose time is over."""

from sqlalchemy import delete

from mlops_platform.dependencies import Services
from mlops_platform.idempotency.middleware import LIFETIME
from mlops_platform.idempotency.tables import IdempotencyKeyRow
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job


async def _forget(services: Services) -> None:
    async with services.database.session() as session:
        await session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.started_at < now() - LIFETIME))


JOBS = (Job("idempotency-keys", 600, _forget),)
