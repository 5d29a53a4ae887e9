"""Forgetting sessions, forms, states, tokens and codes that nobody can use any more; recording the ends of elevations."""

from mlops_platform.dependencies import Services
from mlops_platform.identity import elevations, kept_forms, once, sessions, sign_outs
from mlops_platform.identity.issuer import grants
from mlops_platform.kit.jobs import Job


async def _forget(services: Services) -> None:
    async with services.database.session() as session:
        await sessions.forget(session, services.sessions.limits)
        await kept_forms.forget(session)
        await once.forget(session)
        await grants.forget(session)
        await sign_outs.forget(session)


async def _end_elevations(services: Services) -> None:
    await elevations.end_those_that_are_over(services.database)


JOBS = (Job("forgotten-sessions", 600, _forget), Job("ended-elevations", 15, _end_elevations))
