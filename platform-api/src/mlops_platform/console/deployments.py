"""Pages of deployments, and operating them."""

from typing import Annotated

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.console.rendering import PREFIX, Comment, Cursor, page_router, render
from mlops_platform.console.sessions import page
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.deployments import operations
from mlops_platform.deployments import service as deployments
from mlops_platform.deployments.operations import Operation
from mlops_platform.failing import service as failing
from mlops_platform.identity.principal import Principal

router = page_router()


@router.get("/deployments")
async def deployment_list(
    request: Request,
    caller: Annotated[Principal, page("deployment:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    cursor: Cursor = None,
) -> HTMLResponse:
    """What is deployed where, and what the worker cannot do."""
    found = await deployments.list_deployments(session, caller, cursor=cursor)
    fails = await failing.failing(session, services.authorizer, caller)
    return render(request, "deployments.html", found=found, failing=fails)


@router.get("/deployments/{deployment_id}")
async def deployment_page(
    request: Request,
    caller: Annotated[Principal, page("deployment:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    deployment_id: str,
) -> HTMLResponse:
    """One deployment: revisions, history, and what may be done."""
    shown = await deployments.get(session, services.authorizer, caller, deployment_id)
    possible = await operations.may_operate(session, services.authorizer, caller, deployment_id)
    return render(request, "deployment.html", deployment=shown, possible=possible, needs_reason=operations.NEEDS_REASON)


@router.post("/deployments/{deployment_id}/{operation}")
async def operate(
    caller: Annotated[Principal, page("deployment:operate")],
    session: SessionDep,
    services: ServicesDep,
    deployment_id: str,
    operation: Operation,
    reason: Comment = "",
) -> Response:
    """Promote, pause, resume, roll back or undeploy."""
    await operations.operate(session, services.authorizer, caller, deployment_id, operation, reason)
    return RedirectResponse(f"{PREFIX}/deployments/{deployment_id}", 303)
