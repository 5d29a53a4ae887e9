"""Reading requests for approval: one, many, what waits for whom."""

from datetime import datetime

from sqlalchemy import Select, select

from mlops_platform.approvals.quorum import Decision, Objection, Status, missing, objection
from mlops_platform.approvals.schemas import Approval, DecisionView
from mlops_platform.approvals.tables import ApprovalDecisionRow, ApprovalRow
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import NotFound
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.kit.clock import now
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor
from mlops_platform.policy.definition import Requirement
from mlops_platform.telemetry.items import apart


class ApprovalNotFound(NotFound):
    """No such approval for this caller."""

    title = "There is no such approval"

    def __init__(self, approval_id: str) -> None:
        super().__init__(f"There is no approval '{approval_id}' that you can see; `mlops approvals list` shows yours.")


async def get(session: ReadSession | Session, caller: Principal | None, approval_id: str) -> Approval:
    """Return one request. Raises ApprovalNotFound."""
    row = (await session.execute(visible_to(caller).where(ApprovalRow.id == approval_id))).scalar_one_or_none()
    if row is None:
        raise ApprovalNotFound(approval_id)
    return shown(row, await decisions(session, row.id))


async def list_approvals(
    session: ReadSession,
    authorizer: Authorizer,
    caller: Principal,
    *,
    mine: bool = False,
    status: Status | None = None,
    model_name: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Approval]:
    """Return requests the caller may see, newest first; `mine` keeps those the caller could approve now."""
    query = visible_to(caller)
    if mine:
        query = query.where(ApprovalRow.status == "pending", ApprovalRow.expires_at > now())
    if status:
        query = query.where(ApprovalRow.status == status)
    if model_name:
        query = query.where(ApprovalRow.model_name == model_name)
    if cursor:
        query = query.where(ApprovalRow.id < str(decode_cursor(cursor).get("id", "")))
    # ids are time ordered; what is not the caller's is skipped while reading
    rows = (
        (await session.execute(query.order_by(ApprovalRow.id.desc()).limit(1_000 if mine else limit + 1)))
        .scalars()
        .all()
    )
    by_approval = await decisions_of(session, [row.id for row in rows])
    views = [shown(row, by_approval.get(row.id, [])) for row in rows]
    if mine:
        views = [approval for approval in views if can_approve(authorizer, approval, caller)]
    return Page(
        items=views[:limit], next_cursor=encode_cursor({"id": views[limit - 1].id}) if len(views) > limit else None
    )


async def still_missing(session: ReadSession) -> list[tuple[datetime, list[Role]]]:
    """Return, for each open request of any tenant, when it was asked and the role slots nobody fills yet."""
    query = select(ApprovalRow).where(ApprovalRow.status == "pending", ApprovalRow.expires_at > now())
    rows = (await session.execute(query)).scalars().all()
    made = await decisions_of(session, [row.id for row in rows])
    found = []
    for row in rows:
        with apart("approval-metrics", approval=row.id):
            open_slots = missing(requirements_of(row), made_of(made.get(row.id, [])), row.requester)
            found.append((row.created_at, open_slots))
    return found


def _objection_of(approval: Approval, caller: Principal, roles: frozenset[Role]) -> Objection | None:
    """Return why the caller's approval with these roles would not count now, None when it would or the request is not open."""
    made = [Decision(person=done.person, roles=_known(done.roles), verdict=done.verdict) for done in approval.decisions]
    proposed = Decision(person=caller.subject, roles=roles, verdict="approve")
    return objection(approval.requirements, made, approval.requester, proposed)


def can_approve(authorizer: Authorizer, approval: Approval, caller: Principal) -> bool:
    """Return whether the caller's approval would count now."""
    if caller.kind == "service" or approval.status != "pending" or not caller.sees(approval.tenant):
        return False
    roles = authorizer.roles_for(caller, "approval:decide", approval.tenant)
    return bool(roles) and _objection_of(approval, caller, roles) is None


def why_not(authorizer: Authorizer, approval: Approval, caller: Principal) -> str | None:
    """Return in a sentence why the caller's approval of an open request would not count; None when it would, or it is not open."""
    if approval.status != "pending":
        return None
    roles = authorizer.roles_for(caller, "approval:decide", approval.tenant)
    needed = ", ".join(approval.missing)
    if caller.kind == "service":
        return "You cannot decide: people decide, not services."
    if not roles:
        return f"You cannot decide: it needs {needed}, and none of your roles decides in the team {approval.tenant}."
    sentences: dict[Objection | None, str] = {
        "is_requester": "You cannot decide: you asked for this, and somebody else must agree.",
        "already_decided": f"You have decided already; still needed: {needed}.",
        "role_not_needed": f"You cannot decide: still needed is {needed}; your roles are {', '.join(sorted(roles))}.",
    }
    return sentences.get(_objection_of(approval, caller, roles))


def visible_to(caller: Principal | None) -> Select[ApprovalRow]:
    query = select(ApprovalRow)
    return query if caller is None or caller.company_wide else query.where(ApprovalRow.tenant == caller.tenant)


async def decisions(session: ReadSession | Session, approval_id: str) -> list[ApprovalDecisionRow]:
    return (await decisions_of(session, [approval_id])).get(approval_id, [])


async def decisions_of(session: ReadSession | Session, ids: list[str]) -> dict[str, list[ApprovalDecisionRow]]:
    query = select(ApprovalDecisionRow).where(ApprovalDecisionRow.approval_id.in_(ids)).order_by(ApprovalDecisionRow.at)
    found: dict[str, list[ApprovalDecisionRow]] = {}
    for row in (await session.execute(query)).scalars():
        found.setdefault(row.approval_id, []).append(row)
    return found


def requirements_of(row: ApprovalRow) -> list[Requirement]:
    return [Requirement.model_validate(needed) for needed in row.requirements]


def made_of(rows: list[ApprovalDecisionRow]) -> list[Decision]:
    return [
        Decision.model_validate({"person": row.person, "roles": _known(row.roles), "verdict": row.verdict})
        for row in rows
    ]


def _known(names: list[str]) -> frozenset[Role]:
    return frozenset(role for role in Role if role.value in names)


def shown(row: ApprovalRow, decisions: list[ApprovalDecisionRow]) -> Approval:
    requirements = requirements_of(row)
    return Approval.model_validate(
        {
            **{name: getattr(row, name) for name in Approval.model_fields if hasattr(row, name)},
            "requirements": requirements,
            "missing": missing(requirements, made_of(decisions), row.requester) if row.status == "pending" else [],
            "decisions": [DecisionView.model_validate(decision) for decision in decisions],
            "overdue": row.status == "pending" and now() > row.due_at,
        }
    )
