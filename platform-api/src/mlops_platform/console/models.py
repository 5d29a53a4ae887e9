"""Pages of models and versions."""

from typing import Annotated

from fastapi import Request
from fastapi.responses import HTMLResponse

from mlops_platform.approvals import reading as approvals
from mlops_platform.console.classification import risk_of
from mlops_platform.console.rendering import Cursor, Search, page_router, render
from mlops_platform.console.sessions import page
from mlops_platform.console.standings import standing_of
from mlops_platform.database.session import ReadSessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.deployments import service as deployments
from mlops_platform.identity.principal import Principal
from mlops_platform.materials import service as materials
from mlops_platform.models import service as models
from mlops_platform.policy.definition import ENVIRONMENTS

router = page_router()


@router.get("")
@router.get("/models")
async def model_list(
    request: Request,
    caller: Annotated[Principal, page("model:read")],
    session: ReadSessionDep,
    search: Search = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Models the person may see."""
    found = await models.list_models(session, caller, search=search or None, cursor=cursor)
    return render(request, "models.html", found=found, search=search or "")


@router.get("/models/{name}")
async def model_page(
    request: Request,
    caller: Annotated[Principal, page("model:read")],
    session: ReadSessionDep,
    name: str,
    cursor: Cursor = None,
) -> HTMLResponse:
    """One model's versions."""
    model = await models.get_model(session, caller, name)
    return render(request, "model.html", model=model, found=await models.list_versions(session, caller, name, cursor))


@router.get("/models/{name}/versions/{version}")
async def version_page(
    request: Request,
    caller: Annotated[Principal, page("model:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    name: str,
    version: str,
) -> HTMLResponse:
    """One version: metrics, checks, gates, card, approvals, revisions."""
    detail = await models.version_detail(session, caller, name, version)
    asked = await approvals.list_approvals(session, services.authorizer, caller, model_name=name, limit=100)
    own = [approval for approval in asked.items if approval.model_version == detail.version]
    places = await deployments.list_deployments(session, caller, model_name=name)
    revisions = [
        (place, revision)
        for place in places.items
        for revision in (await deployments.get(session, services.authorizer, caller, place.id)).revisions
        if revision.version == detail.version
    ]
    libraries = await materials.of_version(session, services.advisories, caller, name, version, "production")
    known = [
        await standing_of(session, services, environment, name, detail.version, detail.digest, detail.risk_level)
        for environment in ENVIRONMENTS
        if detail.digest
    ]
    return render(
        request,
        "version.html",
        version=detail,
        libraries=libraries,
        standings=known,
        approvals=own,
        revisions=revisions,
        **await risk_of(session, services, caller, detail),
    )
