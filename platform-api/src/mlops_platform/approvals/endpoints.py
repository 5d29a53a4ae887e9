"""Approvals over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from mlops_platform.approvals import service
from mlops_platform.approvals.quorum import Status
from mlops_platform.approvals.schemas import Approval, DecisionRequest
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.paging import MAX_LIMIT, Page

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])
CanRead = Annotated[Principal, requires("approval:read")]
CanDecide = Annotated[Principal, requires("approval:decide")]
ApprovalId = Annotated[str, Path(max_length=64)]


@router.get("", operation_id="list_approvals")
async def list_approvals(
    caller: CanRead,
    session: ReadSessionDep,
    mine: Annotated[bool, Query(description="only what the caller could approve now")] = False,
    status: Status | None = None,
    model_name: Annotated[str | None, Query(max_length=250)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> Page[Approval]:
    """Return requests for approval, newest first."""
    return await service.list_approvals(
        session, caller, mine=mine, status=status, model_name=model_name, cursor=cursor, limit=limit
    )


@router.get("/{approval_id}", operation_id="get_approval")
async def get_approval(caller: CanRead, approval_id: ApprovalId, session: ReadSessionDep) -> Approval:
    """Return one request with the policy it was made under and every decision."""
    return await service.get(session, caller, approval_id)


@router.post("/{approval_id}/decisions", operation_id="decide_approval")
async def decide(caller: CanDecide, approval_id: ApprovalId, body: DecisionRequest, session: SessionDep) -> Approval:
    """Approve or reject; the last approval needed lets the deployment continue, a rejection ends it."""
    return await service.decide(session, caller, approval_id, body)
