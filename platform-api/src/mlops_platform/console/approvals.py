"""Pages of requests for approval, and deciding on them."""

from typing import Annotated, cast

from fastapi import Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.approvals import detail
from mlops_platform.approvals import reading as approvals
from mlops_platform.approvals import service as deciding
from mlops_platform.approvals.quorum import Verdict
from mlops_platform.approvals.schemas import DecisionRequest
from mlops_platform.console.rendering import PREFIX, Comment, Cursor, page_router, render
from mlops_platform.console.sessions import page
from mlops_platform.console.standings import standing_of
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.principal import Principal
from mlops_platform.materials import service as materials
from mlops_platform.models import service as models
from mlops_platform.policy.definition import ENVIRONMENTS, Environment

router = page_router()


@router.get("/approvals")
async def approval_list(
    request: Request,
    caller: Annotated[Principal, page("approval:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    cursor: Cursor = None,
) -> HTMLResponse:
    """What the person can approve now, and all other requests."""
    mine = await approvals.list_approvals(session, services.authorizer, caller, mine=True)
    found = await approvals.list_approvals(session, services.authorizer, caller, cursor=cursor)
    return render(request, "approvals.html", mine=mine.items, found=found)


@router.get("/approvals/{approval_id}")
async def approval_page(
    request: Request,
    caller: Annotated[Principal, page("approval:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    approval_id: str,
) -> HTMLResponse:
    """One request with the gates of its exact version, and buttons for who may decide."""
    approval = await detail.get(session, caller, approval_id)
    version = await models.version_detail(session, caller, approval.model_name, str(approval.model_version))
    asked = (approval.model_name, approval.model_version, approval.digest, approval.risk_level)
    known = [
        await standing_of(session, services, environment, *asked)
        for environment in ENVIRONMENTS
        if environment == approval.transition
    ]
    libraries = await materials.of_version(
        session,
        services.advisories,
        caller,
        approval.model_name,
        str(approval.model_version),
        cast("Environment", approval.transition),
    )
    can = approvals.can_approve(services.authorizer, approval, caller)
    withdraw = approval.status == "pending" and approval.requester == caller.subject
    return render(
        request,
        "approval.html",
        approval=approval,
        version=version,
        standings=known,
        libraries=libraries,
        can_approve=can,
        why_not=approvals.why_not(services.authorizer, approval, caller),
        can_withdraw=withdraw,
    )


@router.post("/approvals/{approval_id}")
async def decide(
    caller: Annotated[Principal, page("approval:decide")],
    session: SessionDep,
    services: ServicesDep,
    approval_id: str,
    decision: Annotated[Verdict, Form()],
    comment: Comment = "",
) -> Response:
    """Record a decision."""
    body = DecisionRequest(decision=decision, comment=comment)
    await deciding.decide(session, services.approval_subjects, services.authorizer, caller, approval_id, body)
    return RedirectResponse(f"{PREFIX}/approvals/{approval_id}", 303)


@router.post("/approvals/{approval_id}/withdraw")
async def withdraw(
    caller: Annotated[Principal, page("approval:withdraw")],
    session: SessionDep,
    services: ServicesDep,
    approval_id: str,
    reason: Comment = "",
) -> Response:
    """Take back a request of one's own."""
    await deciding.withdraw(session, services.approval_subjects, services.authorizer, caller, approval_id, reason)
    return RedirectResponse(f"{PREFIX}/approvals/{approval_id}", 303)
