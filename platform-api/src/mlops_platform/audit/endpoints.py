"""Reading and proving the audit log, and forgetting whom it names."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from mlops_platform.audit import erasing, proofs, runs, service
from mlops_platform.audit.schemas import (
    AuditEvent,
    AuditHead,
    ConsistencyProof,
    ErasedIdentity,
    ErasureRequest,
    InclusionProof,
    Verification,
    VerificationUnderWay,
)
from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.errors import NotFound
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.paging import MAX_LIMIT, Page

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
# what PostgreSQL's bigint holds
MAX_SEQ = 2**63 - 1
CanAudit = Annotated[Principal, requires("audit:read")]
CanErase = Annotated[Principal, requires("identity:erase")]


class EmptyAuditLog(NotFound):
    """Nothing was recorded yet."""

    def __init__(self) -> None:
        super().__init__("The audit log is empty: nothing has changed on this platform yet.")


class NeverVerified(NotFound):
    """No check has ended yet."""

    def __init__(self) -> None:
        super().__init__(
            "The audit log was not verified yet; GET /api/v1/audit/verify does it, the worker every few minutes."
        )


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


@router.get("/events/{seq}/proof", operation_id="audit_inclusion_proof")
async def prove_inclusion(
    caller: CanAudit,
    session: ReadSessionDep,
    seq: Annotated[int, Path(ge=1, le=MAX_SEQ)],
    size: Annotated[int | None, Query(ge=1, le=MAX_SEQ, description="Of the log when it had this many events.")] = None,
) -> InclusionProof:
    """Return the event's text and its path to a signed head: who holds that head can check it without the platform."""
    return await proofs.inclusion(session, seq, size)


@router.get("/proofs/consistency", operation_id="audit_consistency_proof")
async def prove_consistency(
    caller: CanAudit,
    session: ReadSessionDep,
    first: Annotated[int, Query(ge=1, le=MAX_SEQ, description="Size of the head you kept.")],
    second: Annotated[int | None, Query(ge=1, le=MAX_SEQ, description="By default the newest.")] = None,
) -> ConsistencyProof:
    """Return the proof that the log of `second` events begins with the log of `first` events (RFC 9162 §2.1.4)."""
    return await proofs.consistency(session, first, second)


@router.get("/head", operation_id="audit_head", include_in_schema=False)
@router.get("/heads/latest", operation_id="audit_latest_head")
async def read_head(caller: CanAudit, session: ReadSessionDep) -> AuditHead:
    """Return the newest signed head; 404 while the log is empty. Keep it on another machine: it is a witness."""
    head = await service.head(session)
    if head is None:
        raise EmptyAuditLog
    return head


@router.post("/erasures", operation_id="erase_identity")
async def erase_identity(
    caller: CanErase, services: ServicesDep, session: SessionDep, body: ErasureRequest
) -> ErasedIdentity:
    """Forget whose pseudonym it is. The events stay and verify; nobody can say any more whose they are. Cannot be undone.

    The name is sent in the body, and neither the log nor the answer repeats it. Approvals, deployments and owners of models keep the
    names they were given.
    """
    return await erasing.erase(session, services.authorizer, caller, body.subject)


@router.get("/verify", operation_id="verify_audit", responses={202: {"model": VerificationUnderWay}})
async def verify_log(
    caller: CanAudit,
    services: ServicesDep,
    response: Response,
    full: Annotated[bool, Query(description="False: only what was recorded since the last check.")] = True,
) -> Verification | VerificationUnderWay:
    """Check the log now, in a process of its own; 200 with `intact: false` and the problems when something does not hold.

    202 when it takes longer than a request should: ask again, and the same run answers.
    """
    found = await runs.within_a_request(services.audit_verifier, full=full)
    if found is None:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Retry-After"] = "10"
        return VerificationUnderWay()
    return found


@router.get("/verifications/latest", operation_id="latest_audit_verification")
async def latest_verification(caller: CanAudit, session: ReadSessionDep) -> Verification:
    """Return the result of the last check without checking anything; 404 when nothing was checked yet."""
    found = await runs.latest(session)
    if found is None:
        raise NeverVerified
    return found
