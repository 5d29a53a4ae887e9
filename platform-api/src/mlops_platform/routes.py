"""Every room's routes in one list: the table of contents of the API."""

from fastapi import APIRouter

from mlops_platform.approvals import endpoints as approvals
from mlops_platform.audit import endpoints as audit
from mlops_platform.builds import endpoints as builds
from mlops_platform.costs import endpoints as costs
from mlops_platform.deployments import endpoints as deployments
from mlops_platform.failing import endpoints as failing
from mlops_platform.features import endpoints as features
from mlops_platform.identity import endpoints as identity
from mlops_platform.identity.issuer import endpoints as issuer
from mlops_platform.materials import endpoints as materials
from mlops_platform.models import endpoints as models
from mlops_platform.notifications import endpoints as notifications
from mlops_platform.risk import endpoints as risk

ROUTERS: tuple[APIRouter, ...] = (
    models.router,
    risk.router,
    builds.router,
    materials.router,
    approvals.router,
    deployments.router,
    features.router,
    audit.router,
    identity.router,
    notifications.router,
    issuer.router,
    costs.router,
    failing.router,
)

# the only paths that answer without a token; a house test compares this list with the application
PUBLIC = frozenset(
    {
        "/health",
        "/ready",
        "/api/docs",
        "/api/docs/{name}",
        "/api/openapi.json",
        "/issuer/.well-known/openid-configuration",
        "/issuer/jwks.json",
        "/",
        "/issuer/authorize",
        "/issuer/token",
        "/issuer/device_authorization",
        "/issuer/device",
        "/issuer/revoke",
        "/issuer/end-session",
        "/api/v1/sign-in",
        "/console/sign-in",
        "/console/sign-in/begin",
        "/console/sign-in/callback",
        "/console/sign-out",
        "/console/sign-out/back-channel",
        "/console/signed-out",
    }
)
