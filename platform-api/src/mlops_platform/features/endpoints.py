"""Features over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from mlops_platform.dependencies import ServicesDep
from mlops_platform.features import service
from mlops_platform.features.schemas import (
    EntityList,
    MaterializeRequest,
    MaterializeResponse,
    PushRequest,
    PushResponse,
    RetrieveRequest,
    RetrieveResponse,
    ViewList,
)
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal

router = APIRouter(prefix="/api/v1/features", tags=["features"])
CanRead = Annotated[Principal, requires("feature:read")]
CanWrite = Annotated[Principal, requires("feature:write")]


@router.post("/retrieve", operation_id="retrieve_features", response_model_exclude_none=False)
async def retrieve(caller: CanRead, body: RetrieveRequest, services: ServicesDep) -> RetrieveResponse:
    """Return the newest values of features; an entity that is not stored answers nulls.

    In front of this route the data plane answers the same request in the same words, faster (predictions/feature_retrieval.py).
    """
    missing_is_error = body.on_missing == "error"
    found = await service.retrieve(
        services.features, caller, body.feature_refs, body.entity_ids, body.entities, missing_is_error=missing_is_error
    )
    count = len(next(iter(found.columns.values())))
    return RetrieveResponse(
        features=found.columns,
        entity_count=count,
        metadata=service.provenance(found) if body.include_metadata else None,
    )


@router.get("/views", operation_id="list_feature_views")
async def views(caller: CanRead, services: ServicesDep) -> ViewList:
    """Return the feature views the caller may see."""
    return await service.list_views(services.features, caller)


@router.get("/entities", operation_id="list_feature_entities")
async def entities(caller: CanRead, services: ServicesDep) -> EntityList:
    """Return what features are about."""
    return await service.list_entities(services.features)


@router.post("/push", operation_id="push_features")
async def push(caller: CanWrite, body: PushRequest, services: ServicesDep) -> PushResponse:
    """Write fresh rows of a view to the online store. A newer value is never overwritten by an older event."""
    return await service.push(services.features, caller, body)


@router.post("/materialize", operation_id="materialize_features")
async def materialize(caller: CanWrite, body: MaterializeRequest, services: ServicesDep) -> MaterializeResponse:
    """Bring views from the offline to the online store, up to a time."""
    return await service.materialize(services.features, caller, body.views, body.until)
