"""Endpoints read as permissions: `caller: Annotated[Principal, requires("model:read")]`."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from mlops_platform.errors import Forbidden
from mlops_platform.identity.admission import refuse_two_tokens
from mlops_platform.identity.authorizer import ACTIONS, OWNABLE, Authorizer, UnknownAction
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.strength import demand_strong
from mlops_platform.identity.tokens import MissingToken
from mlops_platform.telemetry import metrics

PERMISSION = "mlops_permission"


class NotPermitted(Forbidden):
    """The caller's roles do not include this action."""

    def __init__(
        self, action: str, principal: Principal, authorizer: Authorizer, resource_tenant: str | None = None
    ) -> None:
        # counted here because both planes raise it
        metrics.authorization_denials_total.labels(action).inc()
        roles = ", ".join(sorted(principal.roles)) or "no role"
        able = ", ".join(authorizer.roles_that_may(action))
        where = "" if resource_tenant in {None, principal.tenant} else f" of the tenant '{resource_tenant}'"
        super().__init__(
            f"'{action}' needs one of the roles {able}{where}; yours: {roles}"
            + (f", in the tenant '{principal.tenant}'" if where else "")
            + ". Ask somebody who has one, or an administrator for it."
        )


def may(authorizer: Authorizer, principal: Principal, action: str) -> Callable[[str], bool]:
    """Return the question whether the principal may do this to a resource of a given tenant."""
    return partial(authorizer.allowed, principal, action)


def demand(
    authorizer: Authorizer, principal: Principal, action: str, resource_tenant: str, *, own: bool = False
) -> None:
    """Raise NotPermitted unless the principal may do this to a resource of that tenant."""
    if not authorizer.allowed(principal, action, resource_tenant, own=own):
        raise NotPermitted(action, principal, authorizer, resource_tenant)


async def authenticate(request: Request) -> Principal:
    """Return the caller of a request. Raises MissingToken or InvalidToken (401)."""
    refuse_two_tokens(request.headers.raw)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise MissingToken
    verified = await request.app.state.services.identity.authenticate(token.strip())
    services = request.app.state.services
    await services.people.seen(verified.principal)
    principal: Principal = await services.elevations.applied(verified.principal)
    request.state.principal = principal
    return principal


def permission_of(routers: Iterable[APIRouter], scope: Scope) -> str | None:
    """Return the action that the route of a request asks for; None when there is no such route, or it asks for none."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.matches(scope)[0] == Match.FULL:
                return _action_of(route.dependant)
    return None


def _action_of(dependant: Dependant) -> str | None:
    own = getattr(dependant.call, PERMISSION, None)
    if own is not None:
        return str(own)
    return next((found for child in dependant.dependencies if (found := _action_of(child)) is not None), None)


def requires(action: str) -> Any:
    """Return the dependency that yields the caller when a Cedar policy permits the action in the caller's own tenant.

    Raises UnknownAction at import for a misspelt action, MissingToken/InvalidToken (401) and NotPermitted (403) at run
    time. This is the door; whose the thing is, only the service that reads it knows: it asks again, with the thing's tenant
    (`demand`). What a caller may not see does not exist.
    """
    if action not in ACTIONS:
        raise UnknownAction(action)

    async def check(request: Request) -> Principal:
        principal = await authenticate(request)
        authorizer: Authorizer = request.app.state.services.authorizer
        # of what may be a person's own, the service that reads the resource decides; here nobody passes who never may
        if not authorizer.allowed(principal, action, None, own=action in OWNABLE):
            raise NotPermitted(action, principal, authorizer)
        settings = request.app.state.services.settings
        demand_strong(principal, action, settings.approver_amr, settings.approver_acr)
        return principal

    permission: Callable[[Request], Awaitable[Principal]] = check
    setattr(permission, PERMISSION, action)
    return Depends(permission)
