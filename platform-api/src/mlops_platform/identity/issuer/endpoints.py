"""The embedded issuer's endpoints for programs: tokens, requests of devices, the end of sessions. Its pages: console/issuer.py."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from mlops_platform.database.session import Session, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.accounts_file import AccountsFile
from mlops_platform.identity.claims import ClaimsNotValid, parts_of
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.endpoints import embedded_issuer
from mlops_platform.identity.issuer import grants
from mlops_platform.identity.issuer.requests import CLI, CONSOLE
from mlops_platform.identity.issuer.services import service_token
from mlops_platform.identity.issuer.user_codes import shown

router = APIRouter(prefix="/issuer", tags=["identity"], include_in_schema=False)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_CLIENTS = frozenset({CONSOLE, CLI})
_TOKEN_SECONDS = 3_600
_LONGEST = 200
_NO_STORE = {"Cache-Control": "no-store"}


@router.post("/token")
async def token(request: Request, services: ServicesDep, session: SessionDep) -> Response:
    """Exchange a code, a refresh token or a device code for tokens (RFC 6749, 3.2)."""
    issuer = embedded_issuer(services)
    sent = (await request.form()).multi_items()
    fields = {name: value for name, value in sent if isinstance(value, str)}
    if len(fields) != len(sent):
        return _refusal("invalid_request")
    if fields.get("grant_type") == "client_credentials":
        accounts = AccountsFile(services.settings.service_accounts_file).accounts()
        return service_token(issuer, accounts, request.headers.getlist("authorization"), fields)
    client = fields.get("client_id", "")
    if client not in _CLIENTS:
        return _refusal("invalid_client", 401)
    match fields.get("grant_type"):
        case "authorization_code":
            wanted = (fields.get("code", ""), client, fields.get("redirect_uri", ""), fields.get("code_verifier", ""))
            granted = await grants.redeem_code(session, *wanted)
        case "refresh_token":
            granted = await grants.redeem_refresh(session, fields.get("refresh_token", ""), client)
        case "urn:ietf:params:oauth:grant-type:device_code":
            found = await grants.poll_device(session, fields.get("device_code", ""), client)
            if isinstance(found, str):
                return _refusal(found)
            granted = found
        case _:
            return _refusal("unsupported_grant_type")
    # a refusal is an answer and no error: what it ended is committed
    return _refusal("invalid_grant") if granted is None else await _tokens(issuer, session, client, granted)


@router.post("/device_authorization")
async def device_authorization(
    request: Request, services: ServicesDep, session: SessionDep, client_id: Annotated[str, Form(max_length=_LONGEST)]
) -> Response:
    """Give a device its code, and the code that its person types on the page (RFC 8628, 3.2)."""
    issuer = embedded_issuer(services)
    if client_id != CLI:
        return _refusal("invalid_client", 401)
    where = request.client.host if request.client is not None else "an unknown address"
    made = await grants.new_device(session, client_id, where)
    if made is None:
        return _refusal("slow_down", 429)
    device_code, user_code = made
    # no verification_uri_complete: a link that only needs one click is what phishing is made of
    answer = {
        "device_code": device_code,
        "user_code": shown(user_code),
        "verification_uri": f"{issuer.issuer}/device",
        "expires_in": grants.DEVICE_SECONDS,
        "interval": grants.INTERVAL_SECONDS,
    }
    return JSONResponse(answer, headers=_NO_STORE)


@router.post("/revoke")
async def revoke(
    services: ServicesDep, session: SessionDep, token: Annotated[str, Form(max_length=_LONGEST)]
) -> Response:
    """End the sign-in of a refresh token (RFC 7009); one that is none needs no ending."""
    embedded_issuer(services)
    await grants.revoke_refresh(session, token)
    return JSONResponse({}, headers=_NO_STORE)


@router.get("/end-session")
async def end_session(
    services: ServicesDep,
    session: SessionDep,
    post_logout_redirect_uri: Annotated[str, Query(max_length=2_000)] = "",
    id_token_hint: Annotated[str, Query(max_length=8_192)] = "",
    state: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """End a sign-in (OpenID Connect RP-Initiated Logout); the browser only returns to the console's own page."""
    issuer = embedded_issuer(services)
    if (family := _family(issuer, id_token_hint)) is not None:
        await grants.end_family(session, family)
    page = f"{services.settings.url}/console/signed-out"
    # another address is nobody's who signs people in here
    known = post_logout_redirect_uri == page
    return RedirectResponse(f"{page}?state={state}" if known and state.isalnum() else page, 303)


def _family(issuer: DevelopmentIssuer, id_token: str) -> str | None:
    """Return which sign-in an ID token of ours is of."""
    try:
        _, claims = parts_of(id_token)
    except ClaimsNotValid:
        return None
    family = claims.get("sid")
    return family if isinstance(family, str) and issuer.signed(id_token) else None


async def _tokens(issuer: DevelopmentIssuer, session: Session, client: str, granted: grants.Granted) -> Response:
    said = {**granted.claims, "sid": granted.family, "auth_time": granted.signed_in_at}
    answer: dict[str, Any] = {
        "token_type": "Bearer",
        "expires_in": _TOKEN_SECONDS,
        "access_token": issuer.sign(said, issuer.audience, _TOKEN_SECONDS),
    }
    if client == CONSOLE:
        nonce = {} if granted.nonce is None else {"nonce": granted.nonce}
        answer["id_token"] = issuer.sign({**said, **nonce}, client, _TOKEN_SECONDS)
    if granted.offline:
        answer["refresh_token"] = await grants.new_refresh(session, client, granted)
    return JSONResponse(answer, headers=_NO_STORE)


def _refusal(word: str, status: int = 400) -> Response:
    return JSONResponse({"error": word}, status, headers=_NO_STORE)
