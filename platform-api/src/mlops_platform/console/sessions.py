"""Who sits at the browser: a cookie that scripts cannot read, forms that other sites cannot send, and a form that comes too late."""

import hmac
import secrets
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import Response

from mlops_platform.dependencies import Services
from mlops_platform.errors import Forbidden, Unauthenticated
from mlops_platform.identity import kept_forms, session_cookie
from mlops_platform.identity.authorizer import ACTIONS, OWNABLE, Authorizer, UnknownAction
from mlops_platform.identity.dependencies import PERMISSION, NotPermitted
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.return_paths import page_to_return_to
from mlops_platform.identity.sessions import REMEMBERED, SessionEnded
from mlops_platform.identity.strength import demand_strong

# the name over http; over https it has a prefix: `cookie_name`
COOKIE = session_cookie.PLAIN_NAME
# the cookie is the secret: a key of this process would sign everybody out of half of several processes
_FORM_KEY = b"mlops-console-form"


class SignInNeeded(Unauthenticated):
    """The page needs a signed-in person, who comes back to it afterwards."""

    def __init__(self, detail: str, return_to: str, kept: str = "") -> None:
        super().__init__(detail)
        self.return_to = return_to
        self.kept = kept


class FormNotOurs(Forbidden):
    """The form was not sent from one of our pages."""

    title = "This form was not sent from the console"

    def __init__(self) -> None:
        super().__init__("Open the page again and send its form; other sites cannot send it for you.")


def secure(services: Services) -> bool:
    """Return whether people reach the console over https."""
    return services.settings.url.startswith("https://")


def cookie_name(services: Services) -> str:
    """Return the name of the session's cookie."""
    return session_cookie.name(secure=secure(services))


def form_token(session: str) -> str:
    """Return what a form must carry: a keyed hash only the holder of the session cookie can have been given."""
    return hmac.new(session.encode(errors="replace"), _FORM_KEY, sha256).hexdigest()


def cookie_of(request: Request) -> str:
    """Return the session's cookie, empty when there is none."""
    return request.cookies.get(cookie_name(request.app.state.services), "")


async def signed_in(request: Request) -> Principal:
    """Return the person behind the cookie. Raises SignInNeeded, and IssuerUnavailable when the provider must be asked first."""
    services: Services = request.app.state.services
    cookie = cookie_of(request)
    return_to = _page_of(request)
    if not cookie:
        raise SignInNeeded("Sign in to see this page.", return_to)
    try:
        principal = await services.sessions.authenticate(cookie)
    except SessionEnded as error:
        kept = await _keep_form(request, cookie) if request.method == "POST" else ""
        raise SignInNeeded(error.detail, return_to, kept) from error
    except Unauthenticated as error:
        raise SignInNeeded("Sign in again: your session has ended.", return_to) from error
    await services.people.seen(principal)
    request.state.principal = principal = await services.elevations.applied(principal)
    return principal


def page(action: str) -> Any:
    """Return the dependency of a console page: the signed-in person, who may do this in the own tenant."""
    if action not in ACTIONS:
        raise UnknownAction(action)

    async def check(request: Request) -> Principal:
        principal = await signed_in(request)
        services: Services = request.app.state.services
        authorizer: Authorizer = services.authorizer
        if not authorizer.allowed(principal, action, None, own=action in OWNABLE):
            raise NotPermitted(action, principal, authorizer)
        if request.method == "POST":
            if not await _sent_by_our_page(request, cookie_of(request)):
                raise FormNotOurs
            demand_strong(principal, action, services.settings.approver_amr, services.settings.approver_acr)
        elif key := request.query_params.get("kept"):
            async with services.database.read_session() as session:
                request.state.kept = await kept_forms.find(session, key, principal.subject)
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


def start(response: Response, services: Services, cookie: str) -> None:
    """Give the browser its session; the cookie outlives it by a day, to tell a form that comes too late from a stranger's."""
    response.set_cookie(
        cookie_name(services),
        cookie,
        max_age=services.settings.session_seconds + int(REMEMBERED.total_seconds()),
        path="/",
        secure=secure(services),
        httponly=True,
        # lax: a link in a mail must find the person signed in; forms carry a token of their own
        samesite="lax",
    )


def forget_cookie(response: Response, services: Services) -> None:
    """Let the browser forget its session."""
    response.delete_cookie(cookie_name(services), path="/", secure=secure(services), httponly=True, samesite="lax")


async def _sent_by_our_page(request: Request, cookie: str) -> bool:
    sent = (await request.form()).get("form_token")
    # bytes: a text that is not ASCII cannot be compared
    return isinstance(sent, str) and secrets.compare_digest(sent.encode(errors="replace"), form_token(cookie).encode())


def _page_of(request: Request) -> str:
    """Return the page to come back to: this one, for a form the one that showed it."""
    if request.method == "GET":
        query = request.url.query
        return page_to_return_to(f"{request.url.path}?{query}" if query else request.url.path)
    shown = urlsplit(request.headers.get("referer", ""))
    return page_to_return_to(f"{shown.path}?{shown.query}" if shown.query else shown.path)


async def _keep_form(request: Request, cookie: str) -> str:
    """Keep what was typed into a form whose session is over; return its key, empty when nothing is kept."""
    services: Services = request.app.state.services
    owner = await services.sessions.belongs_to(cookie)
    if owner is None or not await _sent_by_our_page(request, cookie):
        return ""
    sent = await request.form()
    typed = {name: text for name, text in sent.items() if isinstance(text, str) and name != "form_token"}
    async with services.database.session() as session:
        return await kept_forms.keep(session, cookie, owner[0], request.url.path, typed) or ""


Person = Annotated[Principal, Depends(signed_in)]
