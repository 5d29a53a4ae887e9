"""Notifications over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.notifications import service
from mlops_platform.notifications.schemas import Retried, RetryRequest, UndeliveredView, WishesRequest, WishesView

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
async def undelivered(caller: Operator, session: ReadSessionDep) -> UndeliveredView:
    """Return what waits for each channel, and what no channel took."""
    return await service.undelivered(session)


@router.post("/undelivered/retry", operation_id="retry_undelivered_notices")
async def retry(caller: Operator, body: RetryRequest, session: SessionDep) -> Retried:
    """Let dead letters be tried again."""
    return Retried(retried=await service.retry(session, body.ids))
