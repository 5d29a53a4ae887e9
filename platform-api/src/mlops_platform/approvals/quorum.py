"""What the decisions on a request amount to: quorum, rejection, expiry, and who may not decide. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops_platform.identity.principal import Role
from mlops_platform.policy.definition import Requirement

Status = Literal["pending", "approved", "rejected", "expired", "withdrawn", "revoked"]
Verdict = Literal["approve", "reject"]
Objection = Literal["is_requester", "already_decided", "role_not_needed"]


class Decision(BaseModel):
    """What one person said, with the roles the person had then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    person: str
    roles: frozenset[Role]
    verdict: Verdict


def missing(requirements: Sequence[Requirement], approvals: Sequence[Decision], requester: str) -> list[Role]:
    """Return the role slots nobody fills yet.

    Each person fills one slot; people with several roles are placed so that as many slots as possible are filled
    (maximum bipartite matching), so the order of decisions never matters. The requester fills none.
    """
    slots = [needed.role for needed in requirements for _ in range(needed.count)]
    people = {
        decision.person: decision.roles
        for decision in approvals
        if decision.verdict == "approve" and decision.person != requester
    }
    filled: dict[int, str] = {}

    def place(person: str, tried: set[int]) -> bool:
        for index, role in enumerate(slots):
            if role not in people[person] or index in tried:
                continue
            tried.add(index)
            if index not in filled or place(filled[index], tried):
                filled[index] = person
                return True
        return False

    for person in sorted(people):
        place(person, set())
    return [role for index, role in enumerate(slots) if index not in filled]


def evaluate(
    requirements: Sequence[Requirement],
    decisions: Sequence[Decision],
    requester: str,
    expires_at: datetime,
    now: datetime,
) -> Status:
    """Return what the decisions amount to: any rejection rejects, the full quorum approves, time expires the rest."""
    if any(decision.verdict == "reject" for decision in decisions):
        return "rejected"
    if not missing(requirements, decisions, requester):
        return "approved"
    return "expired" if now >= expires_at else "pending"


def objection(
    requirements: Sequence[Requirement], decisions: Sequence[Decision], requester: str, proposed: Decision
) -> Objection | None:
    """Return why this decision may not be made, or None when it may."""
    if proposed.person == requester:
        return "is_requester"
    if any(decision.person == proposed.person for decision in decisions):
        return "already_decided"
    if proposed.verdict == "reject":
        return None if any(needed.role in proposed.roles for needed in requirements) else "role_not_needed"
    before = len(missing(requirements, decisions, requester))
    helps = len(missing(requirements, [*decisions, proposed], requester)) < before
    return None if helps else "role_not_needed"
