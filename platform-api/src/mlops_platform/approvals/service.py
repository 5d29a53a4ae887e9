"""Requests for approval: asking, deciding, withdrawing, expiring. What waits learns the outcome in the same transaction.

Locks are taken in one order: the subject (a revision and its deployment), the request, the audit tree.
"""

from datetime import timedelta

from sqlalchemy import select

from mlops_platform.approvals import notices, reading
from mlops_platform.approvals.interfaces import Subjects
from mlops_platform.approvals.problems import (
    AlreadyDecided,
    ApprovalNotGiven,
    ApprovalSettled,
    ApproverIsRequester,
    NotTheRequester,
    RejectionNeedsReason,
    RoleNotNeeded,
    ServicesDoNotDecide,
)
from mlops_platform.approvals.quorum import Decision, Status, evaluate, missing, objection
from mlops_platform.approvals.reading import ApprovalNotFound, decisions, made_of, requirements_of, shown
from mlops_platform.approvals.schemas import Approval, DecisionRequest
from mlops_platform.approvals.tables import ApprovalDecisionRow, ApprovalRow
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.etags import demand_unchanged
from mlops_platform.kit.ids import new_id
from mlops_platform.notifications.outbox import tell
from mlops_platform.policy.definition import Policy, RiskLevel, Transition
from mlops_platform.telemetry import metrics


async def request(
    session: Session,
    policy: Policy,
    *,
    requester: Principal,
    transition: Transition,
    model_name: str,
    model_version: int,
    digest: str,
    subject_id: str,
    tenant: str,
    risk_level: RiskLevel,
    configuration: str,
    justification: str,
) -> Approval | None:
    """Ask for approval of exactly these bytes and this configuration (its digest); None when the policy needs nobody."""
    requirements = policy.requirements(transition, risk_level)
    if not requirements:
        return None
    at = now()
    row = ApprovalRow(
        id=new_id(),
        status="pending",
        transition=transition,
        model_name=model_name,
        model_version=model_version,
        digest=digest,
        subject_id=subject_id,
        tenant=tenant,
        requester=requester.subject,
        justification=justification,
        risk_level=risk_level,
        policy_version=policy.version,
        policy_hash=policy.content_hash,
        requirements=[needed.model_dump(mode="json") for needed in requirements],
        created_at=at,
        due_at=at + timedelta(hours=policy.due_hours(requirements)),
        expires_at=at + timedelta(days=policy.expiry_days),
        settled_at=None,
        reason="",
    )
    session.add(row)
    await session.flush()
    details = {
        "model": model_name,
        "version": model_version,
        "digest": digest,
        "transition": transition,
        "environment": transition,
        "subject": subject_id,
        # what the decisions are counted by later: a copy in a row can be changed, a line in the log cannot
        "requirements": row.requirements,
        "policy": policy.version,
        "policy_hash": policy.content_hash,
        "configuration": configuration,
        "expires_at": row.expires_at.isoformat(),
    }
    await audit.record(
        session,
        action=Action.APPROVAL_REQUESTED,
        actor=requester,
        resource=f"approval:{row.id}",
        tenant=tenant,
        details={**details, "risk_level": risk_level, **requester.told_by()},
    )
    metrics.approval_requests_total.labels(transition, risk_level).inc()
    await tell(session, notices.requested(shown(row, [])))
    return shown(row, [])


async def decide(
    session: Session,
    subjects: Subjects,
    authorizer: Authorizer,
    caller: Principal,
    approval_id: str,
    body: DecisionRequest,
    if_match: str | None = None,
) -> Approval:
    """Record the caller's decision and settle the request when it is the last one needed.

    Two people deciding at once are counted one after the other. Only roles that reach the request's tenant count. Raises
    ServicesDoNotDecide, ApprovalNotFound, NotPermitted, ApprovalSettled, ChangedSinceRead, ApproverIsRequester,
    AlreadyDecided, RoleNotNeeded, and RejectionNeedsReason when a rejection says nothing.
    """
    if caller.kind == "service":
        raise ServicesDoNotDecide
    if body.decision == "reject" and not body.comment.strip():
        raise RejectionNeedsReason
    row = await _open(session, subjects, authorizer, caller, approval_id, "approval:decide")
    made = await decisions(session, row.id)
    demand_unchanged("request", if_match, shown(row, made).etag)
    requirements = requirements_of(row)
    roles = authorizer.roles_for(caller, "approval:decide", row.tenant)
    proposed = Decision(person=caller.subject, roles=roles, verdict=body.decision)
    match objection(requirements, made_of(made), row.requester, proposed):
        case "is_requester":
            raise ApproverIsRequester
        case "already_decided":
            raise AlreadyDecided
        case "role_not_needed":
            raise RoleNotNeeded(missing(requirements, made_of(made), row.requester))
    fresh = ApprovalDecisionRow(
        approval_id=row.id,
        person=caller.subject,
        roles=sorted(roles),
        verdict=body.decision,
        comment=body.comment,
        at=now(),
    )
    session.add(fresh)
    await session.flush()
    await audit.record(
        session,
        action=Action.APPROVAL_DECIDED,
        actor=caller,
        resource=f"approval:{row.id}",
        tenant=row.tenant,
        details={
            "decision": body.decision,
            "roles": sorted(roles),
            # a role for some hours is one all the same, and whoever reviews decisions should know which it was
            **({"elevated": sorted(roles & caller.elevated)} if roles & caller.elevated else {}),
            "digest": row.digest,
            "policy": row.policy_version,
            "policy_hash": row.policy_hash,
        },
    )
    metrics.approval_decisions_total.labels(body.decision).inc()
    made = [*made, fresh]
    status = evaluate(requirements, made_of(made), row.requester, row.expires_at, now())
    if status != "pending":
        reason = body.comment if status == "rejected" else ""
        await _settle(session, row, status, reason, SystemActor("approvals"))
        await subjects.settled(session, shown(row, made))
    return shown(row, made)


async def withdraw(
    session: Session,
    subjects: Subjects,
    authorizer: Authorizer,
    caller: Principal,
    approval_id: str,
    reason: str,
    if_match: str | None = None,
) -> Approval:
    """Take the caller's own request back; what is live stays.

    Raises ApprovalNotFound, NotPermitted, ApprovalSettled, ChangedSinceRead, NotTheRequester.
    """
    row = await _open(session, subjects, authorizer, caller, approval_id, "approval:withdraw")
    demand_unchanged("request", if_match, shown(row, await decisions(session, row.id)).etag)
    if row.requester != caller.starter:
        raise NotTheRequester(row.requester)
    await _settle(session, row, "withdrawn", reason, caller)
    approval = shown(row, await decisions(session, row.id))
    await subjects.settled(session, approval)
    return approval


async def revoke(
    session: Session,
    subjects: Subjects,
    authorizer: Authorizer,
    caller: Principal,
    approval_id: str,
    reason: str,
    if_match: str | None = None,
) -> Approval:
    """Withdraw an approval that was given; what runs on it is due for review, what does not run yet ends.

    Whoever has a role the request needed, in the request's tenant, may do it. Raises ServicesDoNotDecide, ApprovalNotFound,
    NotPermitted, ChangedSinceRead, ApprovalNotGiven, RoleNotNeeded, and RejectionNeedsReason when nothing is said.
    """
    if caller.kind == "service":
        raise ServicesDoNotDecide
    if not reason.strip():
        raise RejectionNeedsReason
    row = await _locked(session, subjects, caller, approval_id)
    demand(authorizer, caller, "approval:decide", row.tenant)
    demand_unchanged("request", if_match, shown(row, await decisions(session, row.id)).etag)
    if row.status != "approved":
        raise ApprovalNotGiven(row.status)
    needed = [requirement.role for requirement in requirements_of(row)]
    roles = authorizer.roles_for(caller, "approval:decide", row.tenant)
    if not roles & set(needed):
        raise RoleNotNeeded(needed)
    row.status, row.reason = "revoked", reason
    await session.flush()
    await audit.record(
        session,
        action=Action.APPROVAL_REVOKED,
        actor=caller,
        resource=f"approval:{row.id}",
        tenant=row.tenant,
        details={"digest": row.digest, "reason": reason, "roles": sorted(roles)},
    )
    metrics.approvals_settled_total.labels("revoked").inc()
    approval = shown(row, await decisions(session, row.id))
    await tell(session, notices.revoked(approval, caller.subject))
    await subjects.settled(session, approval)
    return approval


async def close(session: Session, subject_id: str, reason: str) -> None:
    """Close the open request of a subject that no longer waits for it; the caller holds the subject's lock."""
    query = (
        select(ApprovalRow)
        .where(ApprovalRow.subject_id == subject_id, ApprovalRow.status == "pending")
        .with_for_update()
    )
    for row in (await session.execute(query)).scalars().all():
        await _settle(session, row, "withdrawn", reason, SystemActor("deployments"))


async def overdue(session: ReadSession) -> dict[str, str]:
    """Return the open requests whose time is over, oldest first, at most a thousand: tenants by the requests' ids."""
    row = ApprovalRow
    query = select(row.id, row.tenant).where(row.status == "pending", row.expires_at <= now())
    return {each.id: each.tenant for each in await session.execute(query.order_by(row.id).limit(1_000))}


async def due(session: ReadSession) -> list[str]:
    """Return the open requests that somebody should have decided by now, oldest first, at most a thousand."""
    query = select(ApprovalRow.id).where(ApprovalRow.status == "pending", ApprovalRow.due_at <= now())
    return list((await session.scalars(query.order_by(ApprovalRow.id).limit(1_000))).all())


async def remind(session: Session, approval_id: str) -> None:
    """Tell those who can decide that a request is overdue, once."""
    row = await session.get(ApprovalRow, approval_id)
    if row is not None and row.status == "pending":
        overdue_request = shown(row, await decisions(session, row.id))
        await tell(session, notices.overdue(overdue_request), once=f"approval-overdue:{row.id}")


async def expire(session: Session, subjects: Subjects, approval_id: str) -> None:
    """Expire one request whose time is over; one that was settled meanwhile stays as it is."""
    row = await _locked(session, subjects, None, approval_id)
    if row.status == "pending" and row.expires_at <= now():
        await _settle(session, row, "expired", "nobody decided in time", SystemActor("approvals"))
        await subjects.settled(session, shown(row, await decisions(session, row.id)))


async def _open(
    session: Session, subjects: Subjects, authorizer: Authorizer, caller: Principal, approval_id: str, action: str
) -> ApprovalRow:
    """Return a locked request that can still be decided. Raises ApprovalNotFound, NotPermitted and ApprovalSettled."""
    row = await _locked(session, subjects, caller, approval_id)
    demand(authorizer, caller, action, row.tenant)
    if row.status != "pending":
        raise ApprovalSettled(row.status)
    if now() >= row.expires_at:
        raise ApprovalSettled("expired")
    return row


async def _locked(session: Session, subjects: Subjects, caller: Principal | None, approval_id: str) -> ApprovalRow:
    query = reading.visible_to(caller).where(ApprovalRow.id == approval_id)
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:
        raise ApprovalNotFound(approval_id)
    await subjects.lock(session, found.subject_id)
    await session.refresh(found, with_for_update=True)
    return found


async def _settle(
    session: Session, row: ApprovalRow, status: Status, reason: str, actor: Principal | SystemActor
) -> None:
    row.status, row.settled_at, row.reason = status, now(), reason
    await session.flush()
    await audit.record(
        session,
        action=Action.APPROVAL_SETTLED,
        actor=actor,
        resource=f"approval:{row.id}",
        tenant=row.tenant,
        details={
            "status": status,
            "digest": row.digest,
            "policy": row.policy_version,
            "policy_hash": row.policy_hash,
        },
    )
    if status != "withdrawn":
        # who takes back their own request knows, and of a version that cannot be built its own notice tells
        await tell(session, notices.settled(shown(row, await decisions(session, row.id))))
    metrics.approvals_settled_total.labels(status).inc()
    metrics.approval_time_to_decision_seconds.labels(status).observe((row.settled_at - row.created_at).total_seconds())
