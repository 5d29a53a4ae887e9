"""Signing in with a token: a cookie that scripts cannot read, and forms that other sites cannot send."""

import hmac
import secrets
import time
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse

from mlops_platform.dependencies import Services
from mlops_platform.errors import Forbidden, Unauthenticated
from mlops_platform.identity import session_cookie, sessions
from mlops_platform.identity.authorizer import ACTIONS, OWNABLE, Authorizer, UnknownAction
from mlops_platform.identity.dependencies import PERMISSION, NotPermitted
from mlops_platform.identity.interfaces import VerifiedToken
from mlops_platform.identity.principal import Principal

COOKIE = session_cookie.NAME
# one key per process start would sign everybody out of half of several processes: the token itself is the secret instead
_FORM_KEY = b"mlops-console-form"
_ENDED = "Sign in again: your session has ended."


class SignInNeeded(Unauthenticated):
    """The page needs a signed-in person."""


class FormNotOurs(Forbidden):
    """The form was not sent from one of our pages."""

    title = "This form was not sent from the console"

    def __init__(self) -> None:
        super().__init__("Open the page again and send its form; other sites cannot send it for you.")


def form_token(session: str) -> str:
    """Return what a form must carry: a keyed hash only the holder of the session cookie can have been given."""
    return hmac.new(session.encode(errors="replace"), _FORM_KEY, sha256).hexdigest()


def session_of(request: Request) -> str:
    """Return the session's cookie. Raises SignInNeeded."""
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise SignInNeeded("Sign in to see this page.")
    return cookie


async def verified_session(request: Request) -> VerifiedToken:
    """Return the token of the session.

    Raises SignInNeeded when there is none, the token no longer counts, or somebody signed out of this session.
    """
    services = request.app.state.services
    try:
        return await sessions.authenticate(services.database, services.identity, session_of(request))
    except Unauthenticated as error:
        raise SignInNeeded(_ENDED) from error


async def signed_in(request: Request) -> Principal:
    """Return the person behind the cookie. Raises SignInNeeded."""
    verified = await verified_session(request)
    request.state.principal = verified.principal
    return verified.principal


def page(action: str) -> Any:
    """Return the dependency of a console page: the signed-in person, who may do this in the own tenant."""
    if action not in ACTIONS:
        raise UnknownAction(action)

    async def check(request: Request) -> Principal:
        principal = await signed_in(request)
        authorizer: Authorizer = request.app.state.services.authorizer
        if not authorizer.allowed(principal, action, None, own=action in OWNABLE):
            raise NotPermitted(action, principal, authorizer)
        if request.method == "POST":
            sent = (await request.form()).get("form_token")
            # bytes: a text that is not ASCII cannot be compared
            ours = form_token(session_of(request)).encode()
            if not isinstance(sent, str) or not secrets.compare_digest(sent.encode(errors="replace"), ours):
                raise FormNotOurs
        return principal

    setattr(check, PERMISSION, action)
    return Depends(check)


def refuse_other_sites(request: Request) -> None:
    """Raise FormNotOurs when a browser says that another site's page sent this form.

    Browsers name the page in Origin and in Sec-Fetch-Site; programs send neither.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise FormNotOurs
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise FormNotOurs


async def end(request: Request, services: Services) -> None:
    """End the session on the server; one that has ended already, or never was, needs no ending."""
    try:
        verified = await verified_session(request)
    except SignInNeeded:
        return
    async with services.database.session() as session:
        await sessions.end(session, session_of(request), verified.expires_at)


def start(response: RedirectResponse, token: str, expires_at: float, *, secure: bool) -> None:
    """Put the token into a cookie that ends with it."""
    response.set_cookie(
        COOKIE,
        session_cookie.new_session(token),
        max_age=max(0, int(expires_at - time.time())),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


Person = Annotated[Principal, Depends(signed_in)]
