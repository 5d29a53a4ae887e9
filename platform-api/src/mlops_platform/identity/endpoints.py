"""The embedded issuer's public documents, and who the caller is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from mlops_platform.dependencies import ServicesDep
from mlops_platform.errors import NotFound
from mlops_platform.identity.dependencies import authenticate
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.principal import Principal

router = APIRouter(tags=["identity"])


class NoEmbeddedIssuer(NotFound):
    """This platform trusts an outside issuer."""

    def __init__(self) -> None:
        super().__init__("This platform uses an outside identity provider; its discovery document is there.")


class WhoAmI(BaseModel):
    """What the platform knows of the caller."""

    subject: str
    roles: list[str]
    tenant: str
    kind: str


@router.get("/issuer/.well-known/openid-configuration", operation_id="issuer_discovery")
def discovery(services: ServicesDep) -> dict[str, Any]:
    """Return the embedded issuer's OpenID Connect discovery document; 404 when an outside issuer is configured."""
    return _issuer(services).discovery()


@router.get("/issuer/jwks.json", operation_id="issuer_jwks")
def jwks(services: ServicesDep) -> dict[str, Any]:
    """Return the embedded issuer's public keys; 404 when an outside issuer is configured."""
    return _issuer(services).jwks()


@router.get("/api/v1/me", operation_id="whoami")
def whoami(caller: Annotated[Principal, Depends(authenticate)]) -> WhoAmI:
    """Return the caller's subject, roles and tenant as the platform understood the token."""
    return WhoAmI(subject=caller.subject, roles=sorted(caller.roles), tenant=caller.tenant, kind=caller.kind)


def _issuer(services: ServicesDep) -> DevelopmentIssuer:
    if not services.settings.development_issuer:
        raise NoEmbeddedIssuer
    return DevelopmentIssuer.from_settings(services.settings)
