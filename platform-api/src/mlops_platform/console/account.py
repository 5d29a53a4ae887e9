"""The page of the person who is signed in: who that is to the platform, and the end of all sessions."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from mlops_platform.console.rendering import page_router, render
from mlops_platform.console.sessions import Person

router = page_router()


@router.get("/account")
async def shown(request: Request, caller: Person) -> HTMLResponse:
    """Who is signed in, with which roles, in which team."""
    return render(request, "account.html", person=caller)
