"""The embedded issuer's public documents, and who the caller is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.errors import NotFound
from mlops_platform.identity.dependencies import authenticate
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.issuer.requests import CLI
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


class HowToSignIn(BaseModel):
    """What `mlops login` needs to know."""

    issuer: str
    client_id: str | None
    """None: no client of this platform signs in by device flow."""
    scopes: str
    audience: str | None = None


@router.get("/issuer/.well-known/openid-configuration", operation_id="issuer_discovery")
def discovery(services: ServicesDep) -> dict[str, Any]:
    """Return the embedded issuer's OpenID Connect discovery document; 404 when an outside issuer is configured."""
    return embedded_issuer(services).discovery()


@router.get("/issuer/jwks.json", operation_id="issuer_jwks")
def jwks(services: ServicesDep) -> dict[str, Any]:
    """Return the embedded issuer's public keys; 404 when an outside issuer is configured."""
    return embedded_issuer(services).jwks()


@router.get("/api/v1/sign-in", operation_id="how_to_sign_in")
def how_to_sign_in(services: ServicesDep) -> HowToSignIn:
    """Return where and as which client a command line signs its person in; public, because nobody is signed in yet."""
    settings = services.settings
    if settings.development_issuer:
        return HowToSignIn(issuer=settings.issuer_url, client_id=CLI, scopes="openid offline_access")
    return HowToSignIn(
        issuer=settings.issuer_url,
        client_id=settings.oidc_cli_client_id,
        scopes=settings.oidc_cli_scopes,
        audience=settings.audience,
    )


@router.get("/api/v1/me", operation_id="whoami")
def whoami(caller: Annotated[Principal, Depends(authenticate)]) -> WhoAmI:
    """Return the caller's subject, roles and tenant as the platform understood the token."""
    return WhoAmI(subject=caller.subject, roles=sorted(caller.roles), tenant=caller.tenant, kind=caller.kind)


def embedded_issuer(services: Services) -> DevelopmentIssuer:
    """Return the embedded issuer. Raises NoEmbeddedIssuer where an outside one is configured."""
    if not services.settings.development_issuer:
        raise NoEmbeddedIssuer
    return DevelopmentIssuer.from_settings(services.settings)
