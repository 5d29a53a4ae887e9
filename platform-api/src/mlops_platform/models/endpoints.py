"""The catalogue over HTTP; deleting is in deployments/endpoints.py, which knows what serves."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.paging import MAX_LIMIT, Page
from mlops_platform.models import registration, service
from mlops_platform.models.schemas import (
    ModelSummary,
    RegisterRequest,
    RegisterResponse,
    VersionDetail,
    VersionList,
)
from mlops_platform.models.stages import Stage
from mlops_platform.policy.definition import RiskLevel

router = APIRouter(prefix="/api/v1/models", tags=["models"])
CanRead = Annotated[Principal, requires("model:read")]
CanRegister = Annotated[Principal, requires("model:register")]
Name = Annotated[str, Path(max_length=250)]
Version = Annotated[str, Path(max_length=20, description="a number, or 'latest'")]
Cursor = Annotated[str | None, Query(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]


@router.post("/register", operation_id="register_model")
async def register(
    caller: CanRegister, body: RegisterRequest, session: SessionDep, services: ServicesDep
) -> RegisterResponse:
    """Create the next version of a model from artifacts logged with MLflow; it belongs to the caller's tenant."""
    return await registration.register(session, services.registry, caller, body)


@router.get("", operation_id="list_models")
async def list_models(
    caller: CanRead,
    session: ReadSessionDep,
    search: Annotated[str | None, Query(max_length=200, description="part of the name or description")] = None,
    owner: Annotated[str | None, Query(max_length=200)] = None,
    risk_level: RiskLevel | None = None,
    stage: Stage | None = None,
    tenant: Annotated[str | None, Query(max_length=120)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ModelSummary]:
    """Return the models the caller may see, by name; filters speak of each model's latest version."""
    return await service.list_models(
        session,
        caller,
        search=search,
        owner=owner,
        risk_level=risk_level,
        stage=stage,
        tenant=tenant,
        cursor=cursor,
        limit=limit,
    )


@router.get("/{model_name}", operation_id="get_model")
async def get_model(caller: CanRead, model_name: Name, session: ReadSessionDep) -> ModelSummary:
    """Return a model."""
    return await service.get_model(session, caller, model_name)


@router.get("/{model_name}/versions", operation_id="list_versions")
async def list_versions(
    caller: CanRead, model_name: Name, session: ReadSessionDep, cursor: Cursor = None, limit: Limit = 50
) -> VersionList:
    """Return a model's versions, newest first."""
    return await service.list_versions(session, caller, model_name, cursor, limit)


@router.get("/{model_name}/versions/{version}", operation_id="get_version")
async def get_version(caller: CanRead, model_name: Name, version: Version, session: ReadSessionDep) -> VersionDetail:
    """Return a version with metrics, input schema, lineage, the evidence of its checks and its model card."""
    return await service.version_detail(session, caller, model_name, version)
