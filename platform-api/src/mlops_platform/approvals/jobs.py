"""Requests nobody decides on expire."""

from mlops_platform.approvals import service
from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job


async def _expire(services: Services) -> None:
    async with services.database.session() as session:
        await service.expire_due(session)


JOBS = (Job("approval-expiry", 5, _expire),)
