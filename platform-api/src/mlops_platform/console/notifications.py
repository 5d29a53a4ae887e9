"""The page where people say what they want to hear of."""

from typing import Annotated

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mlops_platform.console.rendering import PREFIX, page_router, render
from mlops_platform.console.sessions import page
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.identity.principal import Principal
from mlops_platform.notifications import service
from mlops_platform.notifications.notice import MEANING, Kind
from mlops_platform.notifications.schemas import WishesRequest

router = page_router()


@router.get("/notifications")
async def shown(
    request: Request, caller: Annotated[Principal, page("model:read")], session: ReadSessionDep
) -> HTMLResponse:
    """What the person is told of, and where."""
    return render(request, "notifications.html", wishes=await service.wishes(session, caller), meaning=MEANING)


@router.post("/notifications")
async def changed(request: Request, caller: Annotated[Principal, page("model:read")], session: SessionDep) -> Response:
    """Change it: a box that is not ticked is not sent by browsers."""
    sent = await request.form()
    wanted = {kind: kind.value in sent for kind in Kind}
    await service.wish(session, caller, WishesRequest(email="email" in sent, kinds=wanted))
    return RedirectResponse(f"{PREFIX}/notifications", 303)
