"""Forgetting sessions whose time is over, with forms, states, tokens and codes that nobody can use any more."""

from mlops_platform.dependencies import Services
from mlops_platform.identity import kept_forms, once, sessions, sign_outs
from mlops_platform.identity.issuer import grants
from mlops_platform.kit.jobs import Job


async def _forget(services: Services) -> None:
    async with services.database.session() as session:
        await sessions.forget(session, services.sessions.limits)
        await kept_forms.forget(session)
        await once.forget(session)
        await grants.forget(session)
        await sign_outs.forget(session)


JOBS = (Job("forgotten-sessions", 600, _forget),)
