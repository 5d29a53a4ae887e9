"""Notifications over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.notifications import service
from mlops_platform.notifications.schemas import UndeliveredView, WishesRequest, WishesView

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])
Anybody = Annotated[Principal, requires("model:read")]
Operator = Annotated[Principal, requires("metrics:read")]


@router.get("/settings", operation_id="show_notification_settings")
async def show(caller: Anybody, session: ReadSessionDep) -> WishesView:
    """Return what the caller is told of, and where."""
    return await service.wishes(session, caller)


@router.patch("/settings", operation_id="set_notification_settings")
async def change(caller: Anybody, body: WishesRequest, session: SessionDep) -> WishesView:
    """Change what the caller is told of."""
    return await service.wish(session, caller, body)


@router.get("/undelivered", operation_id="list_undelivered_notices")
async def undelivered(caller: Operator, session: ReadSessionDep, services: ServicesDep) -> UndeliveredView:
    """Return what waits for each channel, and what no channel took."""
    return await service.undelivered(session, services.authorizer, caller)


@router.post("/undelivered/{delivery_id}/retry", operation_id="retry_undelivered_notice", status_code=204)
async def retry(
    caller: Operator,
    delivery_id: Annotated[str, Path(max_length=64)],
    session: SessionDep,
    services: ServicesDep,
) -> None:
    """Let a dead letter be tried again."""
    await service.retry(session, services.authorizer, caller, delivery_id)
