"""The page of who can do what."""

from typing import Annotated

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.console.rendering import PREFIX, Comment, Cursor, page_router, render
from mlops_platform.console.sessions import page
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity import reviewing
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.identity.reviewing import ReviewRequest, Verdict

router = page_router()
Reviewer = Annotated[Principal, page("identity:review")]


@router.get("/access")
async def listed(
    request: Request,
    caller: Reviewer,
    session: ReadSessionDep,
    services: ServicesDep,
    unused: bool = False,
    cursor: Cursor = None,
) -> HTMLResponse:
    """People, their roles, when they were last here, and forms to confirm or to mark."""
    found = await reviewing.listed(session, services.authorizer, caller, only_unused=unused, cursor=cursor)
    return render(request, "access.html", found=found, unused=unused, days=reviewing.UNUSED_DAYS)


@router.post("/access")
async def reviewed(
    caller: Reviewer,
    session: SessionDep,
    services: ServicesDep,
    subject: Annotated[str, Form(min_length=1, max_length=255)],
    verdict: Annotated[Verdict, Form()],
    roles: Annotated[list[Role] | None, Form()] = None,
    comment: Comment = "",
) -> Response:
    """Record what the reviewer says of the roles that the page showed."""
    body = ReviewRequest(subject=subject, verdict=verdict, roles=roles or [], comment=comment[:2_000])
    await reviewing.review(session, services.authorizer, caller, body)
    return RedirectResponse(f"{PREFIX}/access", 303)
