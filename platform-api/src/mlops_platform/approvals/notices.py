"""What people are told of requests for approval. Pure."""

from mlops_platform.approvals.schemas import Approval
from mlops_platform.identity.principal import Role
from mlops_platform.notifications.notice import Kind, Notice

_OUTCOME = {
    "approved": "was approved: nothing more has to be done for it to start",
    "rejected": "was rejected",
    "withdrawn": "was withdrawn",
    "expired": "has expired: nobody decided in time",
}


def requested(approval: Approval) -> Notice:
    """Tell those who can decide."""
    roles = _needed(approval)
    sentence = (
        f"{approval.requester} asks to bring {_version(approval)} ({approval.risk_level} risk) to {approval.transition}; "
        f"needed until {approval.due_at:%Y-%m-%d %H:%M} UTC: {', '.join(roles)}."
    )
    return _notice(Kind.APPROVAL_REQUESTED, approval, sentence, roles=roles, but=(approval.requester,))


def overdue(approval: Approval) -> Notice:
    """Remind those who can decide."""
    missing = ", ".join(approval.missing) or "a decision"
    sentence = (
        f"The request of {approval.requester} to bring {_version(approval)} to {approval.transition} is overdue since "
        f"{approval.due_at:%Y-%m-%d %H:%M} UTC; still needed: {missing}. It expires at {approval.expires_at:%Y-%m-%d %H:%M} UTC."
    )
    decided = tuple(decision.person for decision in approval.decisions)
    return _notice(
        Kind.APPROVAL_OVERDUE, approval, sentence, roles=_needed(approval), but=(approval.requester, *decided)
    )


def settled(approval: Approval) -> Notice:
    """Tell the requester the answer."""
    sentence = f"Your request to bring {_version(approval)} to {approval.transition} {_OUTCOME[approval.status]}."
    if approval.reason:
        sentence += f" Reason: {approval.reason}"
    return _notice(Kind.APPROVAL_SETTLED, approval, sentence, people=(approval.requester,))


def revoked(approval: Approval, by: str) -> Notice:
    """Tell the requester that an approval does not count any more."""
    sentence = f"{by} took back the approval of {_version(approval)} for {approval.transition}: {approval.reason}"
    return _notice(Kind.APPROVAL_REVOKED, approval, sentence, people=(approval.requester,), but=(by,))


def _needed(approval: Approval) -> tuple[Role, ...]:
    return tuple(Role(needed.role) for needed in approval.requirements)


def _version(approval: Approval) -> str:
    return f"{approval.model_name} version {approval.model_version}"


def _notice(
    kind: Kind,
    approval: Approval,
    sentence: str,
    *,
    roles: tuple[Role, ...] = (),
    people: tuple[str, ...] = (),
    but: tuple[str, ...] = (),
) -> Notice:
    page = f"/console/approvals/{approval.id}"
    return Notice(kind, f"approval:{approval.id}", approval.tenant, sentence, page, roles=roles, people=people, but=but)
