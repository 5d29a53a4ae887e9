"""What the worker does for the audit log."""

from mlops_platform.audit import service
from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job


async def _anchor(services: Services) -> None:
    async with services.database.read_session() as session:
        await service.anchor_missing(session)


# a head that missed its anchor (full disk, kill between commit and append) is anchored within seconds
JOBS = (Job("audit-anchor", 5, _anchor),)
