"""Features over HTTP. Retrieval is on the data plane: predictions/feature_retrieval.py."""

from typing import Annotated

from fastapi import APIRouter

from mlops_platform.dependencies import ServicesDep
from mlops_platform.features import service, writing
from mlops_platform.features.schemas import (
    EntityList,
    MaterializeRequest,
    MaterializeResponse,
    PushRequest,
    PushResponse,
    ViewList,
)
from mlops_platform.identity.dependencies import may, requires
from mlops_platform.identity.principal import Principal

router = APIRouter(prefix="/api/v1/features", tags=["features"])
CanRead = Annotated[Principal, requires("feature:read")]
CanWrite = Annotated[Principal, requires("feature:write")]


@router.get("/views", operation_id="list_feature_views")
async def views(caller: CanRead, services: ServicesDep) -> ViewList:
    """Return the feature views the caller may see."""
    return await service.list_views(services.features, may(services.authorizer, caller, "feature:read"))


@router.get("/entities", operation_id="list_feature_entities")
async def entities(caller: CanRead, services: ServicesDep) -> EntityList:
    """Return what features are about."""
    return await service.list_entities(services.features)


@router.post("/push", operation_id="push_features")
async def push(caller: CanWrite, body: PushRequest, services: ServicesDep) -> PushResponse:
    """Write fresh rows of a view of your team to the online store. A newer value is never overwritten by an older event."""
    return await writing.push(services, caller, body)


@router.post("/materialize", operation_id="materialize_features")
async def materialize(caller: CanWrite, body: MaterializeRequest, services: ServicesDep) -> MaterializeResponse:
    """Bring views of your team from the offline to the online store, up to a time; without names all of them."""
    return await writing.materialize(services, caller, body.views, body.until)
