"""The page of the person who is signed in: who that is to the platform, roles for some hours, and the end of all sessions."""

from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.console.rendering import PREFIX, page_router, render
from mlops_platform.console.sessions import Person, page
from mlops_platform.database.session import SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.errors import BadRequest
from mlops_platform.identity import elevations
from mlops_platform.identity.elevations import ElevationRequest
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.identity.strength import demand_strong

router = page_router()
Sender = Annotated[Principal, page("model:read")]


class ReasonNeeded(BadRequest):
    """A role is taken for a reason."""

    title = "A reason is needed"

    def __init__(self) -> None:
        super().__init__("Go back, and say why you need the role: the audit log keeps it.")


@router.get("/account")
async def shown(request: Request, caller: Person, services: ServicesDep) -> HTMLResponse:
    """Who is signed in, with which roles until when, in which team."""
    taken = await services.elevations.of(caller)
    possible = [role for role in services.elevations.possible(caller) if role not in caller.roles]
    return render(request, "account.html", person=caller, taken=taken, possible=possible)


@router.post("/account/elevations")
async def elevate(
    caller: Sender,
    services: ServicesDep,
    role: Annotated[Role, Form()],
    minutes: Annotated[int, Form(ge=1, le=240)] = 60,
    reason: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Take a role for some hours."""
    if not reason.strip():
        raise ReasonNeeded
    demand_strong(caller, "identity:elevate", services.settings.approver_amr, services.settings.approver_acr)
    await services.elevations.begin(caller, ElevationRequest(role=role, seconds=minutes * 60, reason=reason))
    return RedirectResponse(f"{PREFIX}/account", 303)


@router.post("/account/elevations/end")
async def end(caller: Sender, session: SessionDep) -> Response:
    """Give back every role that was taken."""
    await elevations.end_of_person(session, caller, caller.subject, "self")
    return RedirectResponse(f"{PREFIX}/account", 303)
