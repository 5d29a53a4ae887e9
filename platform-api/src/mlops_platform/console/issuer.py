"""Pages of the embedded issuer: who do you want to be, and which device is being signed in. On this machine only."""

import ipaddress
import os
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.console import sessions
from mlops_platform.console.rendering import render
from mlops_platform.database.session import SessionDep
from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.errors import Forbidden, TooManyRequests
from mlops_platform.identity.endpoints import embedded_issuer
from mlops_platform.identity.issuer import grants
from mlops_platform.identity.issuer.neighbours import uid_of
from mlops_platform.identity.issuer.people import PEOPLE, person
from mlops_platform.identity.issuer.requests import CONSOLE, AuthorizeRequest, read_authorize
from mlops_platform.identity.issuer.user_codes import shown, typed

router = APIRouter(prefix="/issuer", include_in_schema=False, default_response_class=HTMLResponse)
Choice = Annotated[str, Form(max_length=40)]
Strong = Annotated[str, Form(max_length=5)]
UserCode = Annotated[str, Form(max_length=40)]


class OnlyOnThisMachine(Forbidden):
    """Somebody came to the demonstration people from another machine, or as another user of this one."""

    title = "The demonstration people are for this machine only"

    def __init__(self) -> None:
        super().__init__(
            "Open the page in a browser of the user and the machine that run the platform. For everybody else an administrator "
            "sets MLOPS_ISSUER to a real identity provider."
        )


class TooManyWrongCodes(TooManyRequests):
    """Somebody guesses."""

    title = "Too many wrong codes"

    def __init__(self) -> None:
        super().__init__("Wait ten minutes, then type the code that `mlops login` shows.", retry_after=600)


@router.get("/authorize")
async def choose(request: Request, services: ServicesDep) -> Response:
    """Ask who somebody wants to be."""
    _refuse_others(request, services)
    asked = _asked(services, list(request.query_params.multi_items()))
    if asked.problem is not None:
        return RedirectResponse(asked.answer(embedded_issuer(services).issuer, error=asked.problem), 303)
    return render(request, "issuer_people.html", people=PEOPLE, fields=asked.fields(), action="/issuer/authorize")


@router.post("/authorize")
async def chosen(
    request: Request, services: ServicesDep, session: SessionDep, who: Choice, second_factor: Strong = ""
) -> Response:
    """Send the browser back with a code for the person that was chosen."""
    _refuse_others(request, services)
    sessions.refuse_other_sites(request)
    sent = [(name, text) for name, text in (await request.form()).multi_items() if isinstance(text, str)]
    asked = _asked(services, sent)
    one = person(who)
    issuer = embedded_issuer(services).issuer
    if asked.problem is not None or one is None:
        return RedirectResponse(asked.answer(issuer, error=asked.problem or "access_denied"), 303)
    code = await grants.new_code(session, asked, one.claims(second_factor=bool(second_factor)))
    return RedirectResponse(asked.answer(issuer, code=code), 303)


@router.get("/device")
async def device(request: Request, services: ServicesDep) -> Response:
    """Ask for the code that a command line shows."""
    _refuse_others(request, services)
    return render(request, "issuer_device.html", problem="")


@router.post("/device")
async def device_code(
    request: Request,
    services: ServicesDep,
    session: SessionDep,
    user_code: UserCode,
    who: Choice = "",
    second_factor: Strong = "",
    decision: Choice = "",
) -> Response:
    """Show what is being signed in, then let it in as somebody, or refuse it."""
    _refuse_others(request, services)
    sessions.refuse_other_sites(request)
    if not await grants.may_type(session):
        raise TooManyWrongCodes
    code = typed(user_code)
    row = await grants.device_of(session, code)
    if row is None or code is None:
        problem = "No device waits with this code: look at it again, or run `mlops login` again."
        return render(request, "issuer_device.html", 404, problem=problem)
    if decision == "refuse":
        grants.settle_device(row, None)
        return render(request, "issuer_device_done.html", let_in=False)
    one = person(who)
    if one is None:
        values = {"code": shown(code), "where": row.content["where"], "asked_at": row.created_at}
        return render(request, "issuer_device_people.html", people=PEOPLE, **values)
    grants.settle_device(row, one.claims(second_factor=bool(second_factor)))
    return render(request, "issuer_device_done.html", let_in=True, person=one)


def _asked(services: Services, pairs: list[tuple[str, str]]) -> AuthorizeRequest:
    return read_authorize(pairs, {CONSOLE: f"{services.settings.url}/console/sign-in/callback"})


def _refuse_others(request: Request, services: Services) -> None:
    """Raise OnlyOnThisMachine unless the platform is this machine's own, and the caller is its user, as far as the kernel says."""
    embedded_issuer(services)
    host, port = request.client if request.client is not None else ("", 0)
    if not (_loopback(urlsplit(services.settings.url).hostname or "") and _loopback(host)):
        raise OnlyOnThisMachine
    if uid_of(host, port) not in {None, os.getuid()}:
        raise OnlyOnThisMachine


def _loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
