"""Deployments over HTTP, and deleting what is not deployed."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.deployments import operations, requests, service
from mlops_platform.deployments.operations import Operation
from mlops_platform.deployments.schemas import (
    DeploymentDetail,
    DeploymentSummary,
    DeployRequest,
    DeployResponse,
    OperateRequest,
)
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.etags import IfMatch
from mlops_platform.kit.paging import MAX_LIMIT, Page
from mlops_platform.models import registration
from mlops_platform.models.schemas import Deleted
from mlops_platform.policy.definition import Environment

router = APIRouter(prefix="/api/v1", tags=["deployments"])
CanRead = Annotated[Principal, requires("deployment:read")]
CanDeploy = Annotated[Principal, requires("deployment:create")]
CanDelete = Annotated[Principal, requires("model:delete")]
CanOperate = Annotated[Principal, requires("deployment:operate")]
Name = Annotated[str, Path(max_length=250)]
Version = Annotated[str, Path(max_length=20, description="a number, or 'latest'")]
DeploymentId = Annotated[str, Path(max_length=64)]


@router.post("/models/deploy", operation_id="deploy_model")
async def deploy(caller: CanDeploy, body: DeployRequest, session: SessionDep, services: ServicesDep) -> DeployResponse:
    """Ask for a version to be deployed: 'pending_approval' with the approval's id, or 'success' when nobody must agree."""
    return await requests.deploy(session, services, caller, body)


@router.get("/deployments", operation_id="list_deployments")
async def list_deployments(
    caller: CanRead,
    session: ReadSessionDep,
    model_name: Annotated[str | None, Query(max_length=250)] = None,
    environment: Environment | None = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> Page[DeploymentSummary]:
    """Return deployments, newest first."""
    return await service.list_deployments(
        session, caller, model_name=model_name, environment=environment, cursor=cursor, limit=limit
    )


@router.get("/deployments/{deployment_id}", operation_id="get_deployment")
async def get_deployment(
    caller: CanRead, deployment_id: DeploymentId, session: ReadSessionDep, services: ServicesDep, response: Response
) -> DeploymentDetail:
    """Return a deployment with every revision and its history; values of environment variables for who may operate it."""
    found = await service.get(session, services.authorizer, caller, deployment_id)
    response.headers["ETag"] = found.etag
    return found


@router.post("/deployments/{deployment_id}/{operation}", operation_id="operate_deployment")
async def operate(
    caller: CanOperate,
    deployment_id: DeploymentId,
    operation: Operation,
    session: SessionDep,
    services: ServicesDep,
    response: Response,
    body: OperateRequest | None = None,
    if_match: IfMatch = None,
) -> DeploymentDetail:
    """Promote, pause, resume, roll back or undeploy; the data plane follows within a second.

    Rolling back and undeploying need a reason.
    """
    reason = body.reason if body else ""
    found = await operations.operate(session, services.authorizer, caller, deployment_id, operation, reason, if_match)
    response.headers["ETag"] = found.etag
    return found


@router.delete("/models/{model_name}/versions/{version}", operation_id="delete_version")
async def delete_version(
    caller: CanDelete, model_name: Name, version: Version, session: SessionDep, services: ServicesDep
) -> Deleted:
    """Delete a version from the catalogue and the registry; 409 while it is deployed."""
    return await registration.delete_version(
        session, services.registry, services.authorizer, caller, model_name, version, service.is_deployed
    )


@router.delete("/models/{model_name}", operation_id="delete_model")
async def delete_model(caller: CanDelete, model_name: Name, session: SessionDep, services: ServicesDep) -> Deleted:
    """Delete a model with all its versions from the catalogue and the registry; 409 while one is deployed."""
    return await registration.delete_model(
        session, services.registry, services.authorizer, caller, model_name, service.is_deployed
    )
