"""The embedded issuer's public documents, and who the caller is."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.errors import NotFound
from mlops_platform.identity import elevations, reviewing, sign_outs
from mlops_platform.identity.dependencies import authenticate, requires
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.elevations import Elevation, ElevationRequest
from mlops_platform.identity.issuer.requests import CLI
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.reviewing import Access, Review, ReviewRequest
from mlops_platform.identity.strength import demand_strong
from mlops_platform.kit.paging import Page

router = APIRouter(tags=["identity"])
Reviewer = Annotated[Principal, requires("identity:review")]


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
    elevations: list[Elevation] = Field(default_factory=list)
    """Those of the roles that end by themselves."""


class SignOutRequest(BaseModel):
    """Whose sessions and tokens end, and why."""

    subject: str = Field(min_length=1, max_length=255)
    reason: str = Field(min_length=1, max_length=2_000)


class SignedOutEverywhere(BaseModel):
    """What ended: sessions of browsers, sign-ins that could be renewed, and every token from before this time."""

    sessions: int
    renewals: int
    before: datetime


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
async def whoami(caller: Annotated[Principal, Depends(authenticate)], services: ServicesDep) -> WhoAmI:
    """Return the caller's subject, roles and tenant as the platform understood the token, and roles taken for some hours."""
    return WhoAmI(
        subject=caller.subject,
        roles=sorted(caller.roles),
        tenant=caller.tenant,
        kind=caller.kind,
        elevations=await services.elevations.of(caller),
    )


@router.post("/api/v1/me/elevations", operation_id="elevate", status_code=201)
async def elevate(
    caller: Annotated[Principal, Depends(authenticate)], services: ServicesDep, body: ElevationRequest
) -> Elevation:
    """Take a role for at most four hours, where MLOPS_ELEVATIONS lets one of the caller's roles have it. Both ends are recorded.

    It counts in the API and in the console, in the caller's team, and ends by the clock; not in predictions and not in MLflow.
    """
    settings = services.settings
    demand_strong(caller, "identity:elevate", settings.approver_amr, settings.approver_acr)
    return await services.elevations.begin(caller, body)


@router.delete("/api/v1/me/elevations", operation_id="end_elevations", status_code=204)
async def end_elevations(caller: Annotated[Principal, Depends(authenticate)], session: SessionDep) -> None:
    """End the roles that the caller took, now; without any there is nothing to end."""
    await elevations.end_of_person(session, caller, caller.subject, "self")


@router.post("/api/v1/me/sign-out", operation_id="sign_out_everywhere")
async def sign_out_everywhere(
    caller: Annotated[Principal, Depends(authenticate)], services: ServicesDep
) -> SignedOutEverywhere:
    """End the caller's sessions in all browsers, what renews tokens at the embedded issuer, and every token from before now.

    Other processes take such a token for five seconds more, predictions for five minutes. At a company's provider people stay
    signed in: that ends there.
    """
    parts = (services.database, services.identity)
    ended = await sign_outs.sign_out(*parts, caller, caller.subject, sign_outs.OWN_WISH)
    return SignedOutEverywhere.model_validate(ended, from_attributes=True)


@router.post("/api/v1/people/sign-out", operation_id="sign_out_person")
async def sign_out_person(
    caller: Annotated[Principal, requires("identity:sign-out")], services: ServicesDep, body: SignOutRequest
) -> SignedOutEverywhere:
    """End the same of somebody else, who can sign in again: deactivate whom you do not want back at the identity provider first."""
    parts = (services.database, services.identity, services.authorizer)
    ended = await sign_outs.sign_out_other(*parts, caller, body.subject, body.reason)
    return SignedOutEverywhere.model_validate(ended, from_attributes=True)


@router.get("/api/v1/access", operation_id="list_access")
async def list_access(
    caller: Reviewer,
    services: ServicesDep,
    session: ReadSessionDep,
    unused_days: Annotated[int, Query(ge=1, le=3_650, description="Unused: not here for so many days.")] = 90,
    only_unused: Annotated[bool, Query(description="Only those.")] = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Page[Access]:
    """Return who can do what, when they were last here, and what a reviewer last said to it."""
    return await reviewing.listed(
        session,
        services.authorizer,
        caller,
        unused_days=unused_days,
        only_unused=only_unused,
        cursor=cursor,
        limit=limit,
    )


@router.post("/api/v1/access/reviews", operation_id="review_access", status_code=201)
async def review_access(caller: Reviewer, services: ServicesDep, session: SessionDep, body: ReviewRequest) -> Review:
    """Confirm somebody's access, or mark it for whoever takes it away at the identity provider. Nobody reviews their own."""
    return await reviewing.review(session, services.authorizer, caller, body)


def embedded_issuer(services: Services) -> DevelopmentIssuer:
    """Return the embedded issuer. Raises NoEmbeddedIssuer where an outside one is configured."""
    if not services.settings.development_issuer:
        raise NoEmbeddedIssuer
    return DevelopmentIssuer.from_settings(services.settings)
