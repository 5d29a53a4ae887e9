"""Work that fails, over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.failing import service
from mlops_platform.failing.schemas import Due, FailingItems, TryAgain
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal

router = APIRouter(prefix="/api/v1/failing-items", tags=["jobs"])


@router.get("", operation_id="list_failing_items")
async def list_failing_items(
    caller: Annotated[Principal, requires("deployment:read")], session: ReadSessionDep, services: ServicesDep
) -> FailingItems:
    """Return what the worker cannot do now, with attempts, the next try and the last error; at most 500 items."""
    return FailingItems(items=await service.failing(session, services.authorizer, caller))


@router.post("/retries", operation_id="retry_failing_item")
async def retry(
    caller: Annotated[Principal, requires("deployment:operate")],
    body: TryAgain,
    session: SessionDep,
    services: ServicesDep,
) -> Due:
    """Have an item tried at its job's next pass, also one that failed for good."""
    return await service.again(session, services.authorizer, caller, body)
