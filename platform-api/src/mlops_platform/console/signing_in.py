"""Signing in at the company's provider and coming back; signing out here and there."""

import time
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.console import sessions
from mlops_platform.console.rendering import PREFIX, page_router, render
from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.errors import BadRequest, NotFound, PlatformError, Unauthenticated, Unavailable
from mlops_platform.identity import once, sign_in_attempts, sign_outs
from mlops_platform.identity import sessions as open_sessions
from mlops_platform.identity.return_paths import page_to_return_to
from mlops_platform.identity.sign_in_attempts import Attempt
from mlops_platform.identity.signing_in import SignInProvider, SignInRefused

router = page_router()
CALLBACK = f"{PREFIX}/sign-in/callback"
_MOST_ATTEMPTS = 5
Next = Annotated[str | None, Query(alias="next", max_length=4_000)]
Kept = Annotated[str, Query(max_length=64)]


class NoBrowserSignIn(NotFound):
    """This platform has no client at its provider."""

    title = "Signing in by browser is not set up"

    def __init__(self) -> None:
        super().__init__("An administrator sets MLOPS_OIDC_CLIENT_ID; docs/guides/signing-in.md says how.")


class TokensAreNotPasted(NotFound):
    """In production people sign in at their provider."""

    title = "Tokens are not pasted here"

    def __init__(self) -> None:
        super().__init__("Sign in with your company's account.")


class AmbiguousAnswer(BadRequest):
    """A parameter of the provider's answer is there twice."""

    title = "The answer of the identity provider is ambiguous"

    def __init__(self) -> None:
        super().__init__("Begin again: a parameter was given twice, and nobody chooses between two.")


@router.get("/sign-in")
def sign_in_page(request: Request, services: ServicesDep, next_page: Next = None, kept: Kept = "") -> HTMLResponse:
    """Say where one signs in, and keep in mind which page was asked for."""
    return _page(request, services, page_to_return_to(next_page), kept)


@router.post("/sign-in")
async def sign_in_with_token(
    request: Request, services: ServicesDep, token: Annotated[str, Form(max_length=8_192)]
) -> Response:
    """Open a session with a pasted token, where this is no production; a form of another site signs nobody in."""
    sessions.refuse_other_sites(request)
    if services.settings.environment == "production":
        raise TokensAreNotPasted
    return_to = page_to_return_to(request.query_params.get("next"))
    try:
        verified = await services.identity.authenticate(token.strip())
    except Unauthenticated as error:
        return _page(request, services, return_to, "", 401, error.detail)
    before = sessions.cookie_of(request) or None
    cookie = await services.sessions.open_with_token(token.strip(), verified, before)
    response = RedirectResponse(return_to, 303)
    sessions.start(response, services, cookie)
    return response


@router.get("/sign-in/begin")
async def begin(request: Request, services: ServicesDep, next_page: Next = None, kept: Kept = "") -> Response:
    """Send the browser to the provider."""
    provider = _provider(services)
    return_to = page_to_return_to(next_page)
    if request.url.netloc != urlsplit(services.settings.url).netloc:
        # cookies are a host's: the browser must come back to the one it left from
        query = urlencode({"next": return_to, "kept": kept})
        return RedirectResponse(f"{services.settings.url}{PREFIX}/sign-in/begin?{query}", 303)
    attempt = Attempt.begin(return_to, kept, time.time())
    secure = sessions.secure(services)
    address = await provider.address(
        state=attempt.state, nonce=attempt.nonce, verifier=attempt.verifier, redirect_uri=_callback(services)
    )
    response = RedirectResponse(address, 303)
    prefix = sign_in_attempts.cookie_name("", secure=secure)[:-8]
    others = [name for name in request.cookies if name.startswith(prefix)]
    for name in others[: max(0, len(others) - _MOST_ATTEMPTS + 1)]:
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")
    response.set_cookie(
        sign_in_attempts.cookie_name(attempt.state, secure=secure),
        attempt.cookie(),
        max_age=sign_in_attempts.SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/sign-in/callback")
async def callback(request: Request, services: ServicesDep) -> Response:
    """Take the provider's answer: only this browser's, only once, only from the provider that was asked."""
    provider = _provider(services)
    said = request.query_params
    if len(said.multi_items()) != len(said):
        raise AmbiguousAnswer
    state = said.get("state", "")
    name = sign_in_attempts.cookie_name(state, secure=sessions.secure(services))
    attempt = Attempt.read(request.cookies.get(name, ""), state, time.time())
    try:
        if attempt is None:
            raise SignInRefused(
                "state", "This sign-in was not begun in this browser, or more than ten minutes ago: begin again."
            )
        cookie = await _signed_in(request, services, provider, attempt)
    except (Unauthenticated, Unavailable) as error:
        response: Response = _page(request, services, attempt.return_to if attempt else PREFIX, "", 401, error.detail)
    else:
        joined = "&" if "?" in attempt.return_to else "?"
        back = f"{attempt.return_to}{joined}{urlencode({'kept': attempt.kept})}" if attempt.kept else attempt.return_to
        response = RedirectResponse(back, 303)
        sessions.start(response, services, cookie)
    if name in request.cookies:
        response.delete_cookie(name, path="/", secure=sessions.secure(services), httponly=True, samesite="lax")
    return response


async def _signed_in(request: Request, services: Services, provider: SignInProvider, attempt: Attempt) -> str:
    said = request.query_params
    if not await provider.names_itself(said.get("iss")):
        raise SignInRefused("issuer", "The answer came from another identity provider than the one you were sent to.")
    if "error" in said:
        raise SignInRefused("provider_refused", "The identity provider did not sign you in; begin again.")
    async with services.database.session() as session:
        first = await once.first_use(session, f"state:{attempt.state}", time.time() + sign_in_attempts.SECONDS)
    if not first:
        raise SignInRefused("state", "This sign-in was used already: begin again.")
    tokens = await provider.redeem(said.get("code", ""), verifier=attempt.verifier, redirect_uri=_callback(services))
    who = await provider.identify(tokens.id_token or "", nonce=attempt.nonce, fresh=True)
    return await services.sessions.open(tokens, who, sessions.cookie_of(request) or None)


@router.post("/sign-out")
async def sign_out(
    request: Request, services: ServicesDep, everywhere: Annotated[str, Form(max_length=5)] = ""
) -> Response:
    """End the session in every process, with `everywhere` all sessions of the person; then sign out at the provider."""
    sessions.refuse_other_sites(request)
    cookie = sessions.cookie_of(request)
    address = await _provider_sign_out(services, cookie)
    if everywhere and (owner := await services.sessions.belongs_to(cookie)) is not None and owner[1]:
        await sign_outs.sign_out_by_session(services.database, services.identity, owner[0])
    await services.sessions.end(cookie, "signed_out")
    if address is None:
        response: Response = RedirectResponse(f"{PREFIX}/signed-out", 303)
    else:
        # a page and no redirect: browsers hold the answer of a form to 'form-action', and the provider is another site
        response = render(request, "signing_out.html", address=address)
    sessions.forget_cookie(response, services)
    return response


@router.get("/signed-out")
def signed_out(request: Request) -> HTMLResponse:
    """Say that nobody is signed in any more; nothing signs in again by itself."""
    return render(request, "signed_out.html")


@router.post("/sign-out/back-channel")
async def back_channel(services: ServicesDep, logout_token: Annotated[str, Form(max_length=16_384)]) -> Response:
    """End the sessions that the provider says it has ended (OpenID Connect Back-Channel Logout)."""
    notice = await _provider(services).logout_notice(logout_token)
    async with services.database.session() as session:
        if not await once.first_use(session, f"logout:{notice.key}", notice.until):
            raise BadRequest("This logout token was used already.")
        await open_sessions.end_at_provider(session, notice.provider_subject, notice.provider_session)
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def _provider_sign_out(services: Services, cookie: str) -> str | None:
    """Return where to sign out at the provider; its outage keeps nobody signed in here."""
    provider = services.sessions.provider
    id_token = await services.sessions.id_token(cookie)
    if provider is None or id_token is None:
        return None
    try:
        return await provider.end_address(id_token, f"{services.settings.url}{PREFIX}/signed-out")
    except PlatformError:
        return None


def _provider(services: Services) -> SignInProvider:
    if services.sessions.provider is None:
        raise NoBrowserSignIn
    return services.sessions.provider


def _callback(services: Services) -> str:
    return f"{services.settings.url}{CALLBACK}"


def _page(
    request: Request, services: Services, return_to: str, kept: str, status: int = 200, problem: str = ""
) -> HTMLResponse:
    settings = services.settings
    return render(
        request,
        "sign_in.html",
        status,
        problem=problem,
        begin=f"{PREFIX}/sign-in/begin?{urlencode({'next': return_to, 'kept': kept})}",
        here=f"{PREFIX}/sign-in?{urlencode({'next': return_to})}",
        by_browser=services.sessions.provider is not None,
        development=settings.development_issuer,
        pasting=settings.environment != "production",
        kept=bool(kept),
    )
