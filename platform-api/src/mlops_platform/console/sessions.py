"""Signing in with a token: a cookie that scripts cannot read, and forms that other sites cannot send."""

import hmac
import secrets
import time
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse

from mlops_platform.errors import Forbidden, Unauthenticated
from mlops_platform.identity.authorizer import ACTIONS, OWNABLE, Authorizer, UnknownAction
from mlops_platform.identity.dependencies import PERMISSION, NotPermitted
from mlops_platform.identity.principal import Principal

COOKIE = "mlops_session"
# one key per process start would sign everybody out of half of several processes: the token itself is the secret instead
_FORM_KEY = b"mlops-console-form"


class SignInNeeded(Unauthenticated):
    """The page needs a signed-in person."""


class FormNotOurs(Forbidden):
    """The form was not sent from one of our pages."""

    title = "This form was not sent from the console"

    def __init__(self) -> None:
        super().__init__("Open the page again and send its form; other sites cannot send it for you.")


def form_token(session: str) -> str:
    """Return what a form must carry: a keyed hash only the holder of the session cookie can have been given."""
    return hmac.new(session.encode(), _FORM_KEY, sha256).hexdigest()


def session_of(request: Request) -> str:
    """Return the session's token. Raises SignInNeeded."""
    token = request.cookies.get(COOKIE)
    if not token:
        raise SignInNeeded("Sign in to see this page.")
    return token


async def signed_in(request: Request) -> Principal:
    """Return the person behind the cookie. Raises SignInNeeded when there is none or the token no longer counts."""
    try:
        verified = await request.app.state.services.identity.authenticate(session_of(request))
    except Unauthenticated as error:
        raise SignInNeeded("Sign in again: your session has ended.") from error
    request.state.principal = verified.principal
    principal: Principal = verified.principal
    return principal


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
            if not isinstance(sent, str) or not secrets.compare_digest(sent, form_token(session_of(request))):
                raise FormNotOurs
        return principal

    setattr(check, PERMISSION, action)
    return Depends(check)


def start(response: RedirectResponse, token: str, expires_at: float, *, secure: bool) -> None:
    """Put the token into a cookie that ends with it."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=max(0, int(expires_at - time.time())),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


Person = Annotated[Principal, Depends(signed_in)]
