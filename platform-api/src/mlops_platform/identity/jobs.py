"""Forgetting sessions whose time is over."""

from mlops_platform.dependencies import Services
from mlops_platform.identity import sessions
from mlops_platform.kit.jobs import Job


async def _forget(services: Services) -> None:
    async with services.database.session() as session:
        await sessions.forget(session)


JOBS = (Job("ended-sessions", 600, _forget),)
