"""Reading and proving the audit log."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from mlops_platform.audit import service
from mlops_platform.audit.schemas import AuditEvent, AuditHead, Verification
from mlops_platform.audit.verify import verify
from mlops_platform.database.session import ReadSessionDep
from mlops_platform.errors import NotFound
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.paging import MAX_LIMIT, Page

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
CanAudit = Annotated[Principal, requires("audit:read")]


class EmptyAuditLog(NotFound):
    """Nothing was recorded yet."""

    def __init__(self) -> None:
        super().__init__("The audit log is empty: nothing has changed on this platform yet.")


@router.get("/events", operation_id="list_audit_events")
async def list_events(
    caller: CanAudit,
    session: ReadSessionDep,
    action: Annotated[str | None, Query(max_length=80, description="Prefix, for example 'deployment:'")] = None,
    resource: Annotated[str | None, Query(max_length=500)] = None,
    tenant: Annotated[str | None, Query(max_length=120)] = None,
    since: datetime | None = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> Page[AuditEvent]:
    """Return events, newest first, of every tenant."""
    return await service.events(
        session, action=action, resource=resource, tenant=tenant, since=since, cursor=cursor, limit=limit
    )


@router.get("/head", operation_id="audit_head")
async def read_head(caller: CanAudit, session: ReadSessionDep) -> AuditHead:
    """Return the newest signed head; 404 while the log is empty."""
    head = await service.head(session)
    if head is None:
        raise EmptyAuditLog
    return head


@router.get("/verify", operation_id="verify_audit")
async def verify_log(caller: CanAudit, session: ReadSessionDep) -> Verification:
    """Check the whole log against its signed heads; 200 with `intact: false` and the problems when something does not hold."""
    return await verify(session)
