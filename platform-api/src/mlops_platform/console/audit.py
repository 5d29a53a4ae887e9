"""The page of the audit log."""

from typing import Annotated

from fastapi import Request
from fastapi.responses import HTMLResponse

from mlops_platform.audit import runs
from mlops_platform.audit import service as audit
from mlops_platform.console.rendering import Cursor, Search, page_router, render
from mlops_platform.console.sessions import page
from mlops_platform.database.session import ReadSessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.principal import Principal

router = page_router()


@router.get("/audit")
async def audit_page(
    request: Request,
    caller: Annotated[Principal, page("audit:read")],
    session: ReadSessionDep,
    action: Search = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Events and the newest signed head."""
    found = await audit.events(session, action=action or None, cursor=cursor)
    return render(
        request,
        "audit.html",
        found=found,
        head=await audit.head(session),
        action=action or "",
        verification=await runs.latest(session),
        running=False,
    )


@router.get("/audit/verify")
async def audit_verify(
    request: Request, caller: Annotated[Principal, page("audit:read")], session: ReadSessionDep, services: ServicesDep
) -> HTMLResponse:
    """Check the whole log now, in a process of its own."""
    verification = await runs.within_a_request(services.audit_verifier, full=True)
    found = await audit.events(session)
    head = await audit.head(session)
    return render(
        request,
        "audit.html",
        found=found,
        head=head,
        action="",
        verification=verification,
        running=verification is None,
    )
