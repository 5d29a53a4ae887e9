"""Requesting approval, deciding, expiring. Listeners run in the same transaction as the change."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy import Select, select, tuple_

from mlops_platform.approvals.interfaces import Notice
from mlops_platform.approvals.quorum import Decision, Status, evaluate, missing, objection
from mlops_platform.approvals.schemas import Approval, DecisionRequest, DecisionView
from mlops_platform.approvals.tables import ApprovalDecisionRow, ApprovalRow
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Conflict, Forbidden, NotFound
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor
from mlops_platform.policy.definition import Policy, Requirement, RiskLevel, Transition
from mlops_platform.telemetry import metrics


class ApprovalNotFound(NotFound):
    """No such approval for this caller."""

    title = "There is no such approval"

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"There is no approval '{approval_id}' that you can see; `mlops approvals list` shows yours.")


class ApproverIsRequester(Forbidden):
    """Nobody approves their own request."""

    title = "You cannot decide on your own request"

    def __init__(self) -> None:
        super().__init__("You asked for this yourself; somebody else with the needed role must decide.")


class RoleNotNeeded(Forbidden):
    """The caller's roles are not what the policy asks for."""

    title = "Your role is not among those that must decide"

    def __init__(self, needed: list[Role]) -> None:
        roles = ", ".join(sorted(set(needed))) or "nobody: every role has decided"
        super().__init__(f"This request still waits for: {roles}.")


class AlreadyDecided(Conflict):
    """One person decides once."""

    title = "You have decided already"

    def __init__(self) -> None:
        super().__init__("Your decision on this request is on record and cannot be changed.")


class ApprovalSettled(Conflict):
    """The request is no longer open."""

    title = "This request is no longer open"

    def __init__(self, status: str) -> None:
        super().__init__(f"The request is {status}; ask again with a new deployment if it is still wanted.")


Listener = Callable[[Session, Approval], Awaitable[None]]
# called in the transaction that settles a request: request and listener change together or not at all
on_settled: list[Listener] = []


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
    justification: str,
) -> Approval | None:
    """Ask for approval of exactly these bytes; None when the policy needs nobody for this move and risk."""
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
        "policy": policy.version,
    }
    await audit.record(
        session,
        action=Action.APPROVAL_REQUESTED,
        actor=requester,
        resource=f"approval:{row.id}",
        tenant=tenant,
        details={**details, "risk_level": risk_level},
    )
    metrics.approval_requests_total.labels(transition, risk_level).inc()
    return _shown(row, [])


async def notice(session: ReadSession, approval_id: str, url: str) -> Notice | None:
    """Return what those who have to decide should be told; None when there is nothing left to decide."""
    row = await session.get(ApprovalRow, approval_id)
    if row is None or row.status != "pending":
        return None
    roles = tuple(needed["role"] for needed in row.requirements)
    sentence = (
        f"{row.requester} asks to bring {row.model_name} version {row.model_version} ({row.risk_level} risk) to {row.transition}; "
        f"needed until {row.due_at:%Y-%m-%d %H:%M} UTC: {', '.join(roles)}."
    )
    return Notice("approval-requested", roles, row.tenant, sentence, f"{url}/console/approvals/{row.id}")


async def decide(session: Session, caller: Principal, approval_id: str, body: DecisionRequest) -> Approval:
    """Record the caller's decision and settle the request when it is the last one needed.

    Raises ApprovalNotFound, ApprovalSettled, ApproverIsRequester, AlreadyDecided and RoleNotNeeded. The row is locked,
    so two people deciding at once are counted one after the other.
    """
    row = (
        await session.execute(_visible_to(caller).where(ApprovalRow.id == approval_id).with_for_update())
    ).scalar_one_or_none()
    if row is None:
        raise ApprovalNotFound(approval_id)
    decisions = await _decisions(session, row.id)
    if row.status == "pending" and now() >= row.expires_at:
        raise ApprovalSettled("expired")
    if row.status != "pending":
        raise ApprovalSettled(row.status)
    requirements, made = _requirements(row), _made(decisions)
    proposed = Decision(person=caller.subject, roles=caller.roles, verdict=body.decision)
    match objection(requirements, made, row.requester, proposed):
        case "is_requester":
            raise ApproverIsRequester
        case "already_decided":
            raise AlreadyDecided
        case "role_not_needed":
            raise RoleNotNeeded(missing(requirements, made, row.requester))
    fresh = ApprovalDecisionRow(
        approval_id=row.id,
        person=caller.subject,
        roles=sorted(caller.roles),
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
            "roles": sorted(caller.roles),
            "digest": row.digest,
            "policy": row.policy_version,
        },
    )
    metrics.approval_decisions_total.labels(body.decision).inc()
    decisions = [*decisions, fresh]
    status = evaluate(requirements, _made(decisions), row.requester, row.expires_at, now())
    if status != "pending":
        await _settle(
            session, row, decisions, status, body.comment if status == "rejected" else "", SystemActor("approvals")
        )
    return _shown(row, decisions)


async def withdraw(session: Session, subject_id: str, reason: str) -> None:
    """Close the open request of something that no longer waits for it."""
    query = (
        select(ApprovalRow)
        .where(ApprovalRow.subject_id == subject_id, ApprovalRow.status == "pending")
        .with_for_update()
    )
    for row in (await session.execute(query)).scalars().all():
        await _settle(session, row, await _decisions(session, row.id), "withdrawn", reason, SystemActor("deployments"))


async def expire_due(session: Session) -> int:
    """Expire every request whose time is over; return how many."""
    query = select(ApprovalRow).where(ApprovalRow.status == "pending", ApprovalRow.expires_at <= now())
    rows = (await session.execute(query.with_for_update(skip_locked=True).limit(100))).scalars().all()
    for row in rows:
        await _settle(
            session,
            row,
            await _decisions(session, row.id),
            "expired",
            "nobody decided in time",
            SystemActor("approvals"),
        )
    return len(rows)


async def get(session: ReadSession | Session, caller: Principal | None, approval_id: str) -> Approval:
    """Return one request. Raises ApprovalNotFound."""
    row = (await session.execute(_visible_to(caller).where(ApprovalRow.id == approval_id))).scalar_one_or_none()
    if row is None:
        raise ApprovalNotFound(approval_id)
    return _shown(row, await _decisions(session, row.id))


async def list_approvals(
    session: ReadSession,
    caller: Principal,
    *,
    mine: bool = False,
    status: Status | None = None,
    model_name: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Approval]:
    """Return requests the caller may see, newest first; `mine` keeps those the caller could approve now."""
    query = _visible_to(caller)
    if mine:
        query = query.where(ApprovalRow.status == "pending", ApprovalRow.expires_at > now())
    if status:
        query = query.where(ApprovalRow.status == status)
    if model_name:
        query = query.where(ApprovalRow.model_name == model_name)
    if cursor:
        position = decode_cursor(cursor)
        query = query.where(tuple_(ApprovalRow.id) < (str(position.get("id", "")),))
    # ids are time ordered; what is not the caller's is skipped while reading
    rows = (
        (await session.execute(query.order_by(ApprovalRow.id.desc()).limit(1_000 if mine else limit + 1)))
        .scalars()
        .all()
    )
    by_approval = await _decisions_of(session, [row.id for row in rows])
    shown = [_shown(row, by_approval.get(row.id, [])) for row in rows]
    if mine:
        shown = [approval for approval in shown if can_approve(approval, caller)]
    return Page(
        items=shown[:limit], next_cursor=encode_cursor({"id": shown[limit - 1].id}) if len(shown) > limit else None
    )


async def still_missing(session: ReadSession) -> list[tuple[datetime, list[Role]]]:
    """Return, for each open request of any tenant, when it was asked and the role slots nobody fills yet."""
    query = select(ApprovalRow).where(ApprovalRow.status == "pending", ApprovalRow.expires_at > now())
    rows = (await session.execute(query)).scalars().all()
    made = await _decisions_of(session, [row.id for row in rows])
    return [(row.created_at, missing(_requirements(row), _made(made.get(row.id, [])), row.requester)) for row in rows]


def can_approve(approval: Approval, caller: Principal) -> bool:
    """Return whether the caller's approval would count now."""
    if approval.status != "pending" or not caller.sees(approval.tenant):
        return False
    made = [Decision(person=done.person, roles=_known(done.roles), verdict=done.verdict) for done in approval.decisions]
    proposed = Decision(person=caller.subject, roles=caller.roles, verdict="approve")
    return objection(approval.requirements, made, approval.requester, proposed) is None


async def _settle(
    session: Session,
    row: ApprovalRow,
    decisions: list[ApprovalDecisionRow],
    status: Status,
    reason: str,
    actor: SystemActor,
) -> None:
    row.status, row.settled_at, row.reason = status, now(), reason
    await session.flush()
    await audit.record(
        session,
        action=Action.APPROVAL_SETTLED,
        actor=actor,
        resource=f"approval:{row.id}",
        tenant=row.tenant,
        details={"status": status, "digest": row.digest, "policy": row.policy_version},
    )
    metrics.approvals_settled_total.labels(status).inc()
    metrics.approval_time_to_decision_seconds.labels(status).observe((row.settled_at - row.created_at).total_seconds())
    for listener in on_settled:
        await listener(session, _shown(row, decisions))


def _visible_to(caller: Principal | None) -> Select[ApprovalRow]:
    query = select(ApprovalRow)
    return query if caller is None or caller.company_wide else query.where(ApprovalRow.tenant == caller.tenant)


async def _decisions(session: ReadSession | Session, approval_id: str) -> list[ApprovalDecisionRow]:
    return (await _decisions_of(session, [approval_id])).get(approval_id, [])


async def _decisions_of(session: ReadSession | Session, ids: list[str]) -> dict[str, list[ApprovalDecisionRow]]:
    query = select(ApprovalDecisionRow).where(ApprovalDecisionRow.approval_id.in_(ids)).order_by(ApprovalDecisionRow.at)
    found: dict[str, list[ApprovalDecisionRow]] = {}
    for row in (await session.execute(query)).scalars():
        found.setdefault(row.approval_id, []).append(row)
    return found


def _requirements(row: ApprovalRow) -> list[Requirement]:
    return [Requirement.model_validate(needed) for needed in row.requirements]


def _made(rows: list[ApprovalDecisionRow]) -> list[Decision]:
    return [
        Decision.model_validate({"person": row.person, "roles": _known(row.roles), "verdict": row.verdict})
        for row in rows
    ]


def _known(names: list[str]) -> frozenset[Role]:
    return frozenset(role for role in Role if role.value in names)


def _shown(row: ApprovalRow, decisions: list[ApprovalDecisionRow]) -> Approval:
    requirements = _requirements(row)
    return Approval.model_validate(
        {
            **{name: getattr(row, name) for name in Approval.model_fields if hasattr(row, name)},
            "requirements": requirements,
            "missing": missing(requirements, _made(decisions), row.requester) if row.status == "pending" else [],
            "decisions": [DecisionView.model_validate(decision) for decision in decisions],
            "overdue": row.status == "pending" and now() > row.due_at,
        }
    )
