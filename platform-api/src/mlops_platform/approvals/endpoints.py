"""Approvals over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from mlops_platform.approvals import detail, reading, service
from mlops_platform.approvals.quorum import Status
from mlops_platform.approvals.schemas import Approval, ApprovalDetail, DecisionRequest, RevokeRequest, WithdrawRequest
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.etags import IfMatch
from mlops_platform.kit.paging import MAX_LIMIT, Page

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])
CanRead = Annotated[Principal, requires("approval:read")]
CanWithdraw = Annotated[Principal, requires("approval:withdraw")]
CanDecide = Annotated[Principal, requires("approval:decide")]
ApprovalId = Annotated[str, Path(max_length=64)]


@router.get("", operation_id="list_approvals")
async def list_approvals(
    caller: CanRead,
    session: ReadSessionDep,
    services: ServicesDep,
    mine: Annotated[bool, Query(description="only what the caller could approve now")] = False,
    status: Status | None = None,
    model_name: Annotated[str | None, Query(max_length=250)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> Page[Approval]:
    """Return requests for approval, newest first."""
    return await reading.list_approvals(
        session,
        services.authorizer,
        caller,
        mine=mine,
        status=status,
        model_name=model_name,
        cursor=cursor,
        limit=limit,
    )


@router.get("/{approval_id}", operation_id="get_approval")
async def get_approval(
    caller: CanRead, approval_id: ApprovalId, session: ReadSessionDep, response: Response
) -> ApprovalDetail:
    """Return one request with the policy it was made under, every decision, code that the version brings, and its statement."""
    found = await detail.get(session, caller, approval_id)
    response.headers["ETag"] = found.etag
    return found


@router.post("/{approval_id}/decisions", operation_id="decide_approval")
async def decide(
    caller: CanDecide,
    approval_id: ApprovalId,
    body: DecisionRequest,
    session: SessionDep,
    services: ServicesDep,
    if_match: IfMatch = None,
) -> Approval:
    """Approve or reject; the last approval needed lets the deployment continue. A rejection needs a comment and ends it."""
    return await service.decide(
        session, services.approval_subjects, services.authorizer, caller, approval_id, body, if_match
    )


@router.post("/{approval_id}/withdraw", operation_id="withdraw_approval")
async def withdraw(
    caller: CanWithdraw,
    approval_id: ApprovalId,
    session: SessionDep,
    services: ServicesDep,
    body: WithdrawRequest | None = None,
    if_match: IfMatch = None,
) -> Approval:
    """Take your own request back: nobody has to decide any more, and what is live stays live."""
    reason = body.reason if body else ""
    return await service.withdraw(
        session, services.approval_subjects, services.authorizer, caller, approval_id, reason, if_match
    )


@router.post("/{approval_id}/revoke", operation_id="revoke_approval")
async def revoke(
    caller: CanDecide,
    approval_id: ApprovalId,
    body: RevokeRequest,
    session: SessionDep,
    services: ServicesDep,
    if_match: IfMatch = None,
) -> Approval:
    """Withdraw an approval that was given: what runs on it is due for review, and drained after the policy's grace."""
    return await service.revoke(
        session, services.approval_subjects, services.authorizer, caller, approval_id, body.reason, if_match
    )
