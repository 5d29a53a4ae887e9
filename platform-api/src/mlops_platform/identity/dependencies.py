"""Endpoints read as permissions: `caller: Annotated[Principal, requires("model:read")]`."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request

from mlops_platform.errors import Forbidden
from mlops_platform.identity.authorizer import ACTIONS, UnknownAction
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.tokens import MissingToken
from mlops_platform.telemetry import metrics

PERMISSION = "mlops_permission"


class NotPermitted(Forbidden):
    """The caller's roles do not include this action."""

    def __init__(self, action: str, principal: Principal) -> None:
        # counted here because both planes raise it
        metrics.authorization_denials_total.labels(action).inc()
        roles = ", ".join(sorted(principal.roles)) or "no role"
        super().__init__(f"'{action}' needs another role than yours ({roles}); ask a platform administrator.")


async def authenticate(request: Request) -> Principal:
    """Return the caller of a request. Raises MissingToken or InvalidToken (401)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise MissingToken
    verified = await request.app.state.services.identity.authenticate(token.strip())
    request.state.principal = verified.principal
    principal: Principal = verified.principal
    return principal


def requires(action: str) -> Any:
    """Return the dependency that yields the caller when a Cedar policy permits the action in the caller's own tenant.

    Raises UnknownAction at import for a misspelt action, MissingToken/InvalidToken (401) and NotPermitted (403) at run
    time. Resources of other tenants are the repository's business: what a caller may not see does not exist.
    """
    if action not in ACTIONS:
        raise UnknownAction(action)

    async def check(request: Request) -> Principal:
        principal = await authenticate(request)
        if not request.app.state.services.authorizer.allowed(principal, action, None):
            raise NotPermitted(action, principal)
        return principal

    permission: Callable[[Request], Awaitable[Principal]] = check
    setattr(permission, PERMISSION, action)
    return Depends(permission)
