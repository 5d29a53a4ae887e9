"""Who may confirm that a level is lowered, and when. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from mlops_platform.identity.subjects import same_person
from mlops_platform.policy.definition import RiskLevel

Status = Literal["open", "confirmed", "refused", "overtaken"]
Objection = Literal["settled", "overtaken", "is_service", "is_proposer", "is_responsible"]


@dataclass(frozen=True)
class Proposal:
    """Somebody's wish that a level becomes lower than it was then."""

    proposed_by: str
    from_level: RiskLevel
    to_level: RiskLevel
    status: Status


def objection(
    proposal: Proposal,
    current: RiskLevel,
    decider: str,
    kind: Literal["human", "service"],
    responsible: Collection[str],
) -> Objection | None:
    """Return why this person may not decide on the proposal now, or None when they may.

    `current` is the digest's level now: who raised it in the meantime knew something the proposer did not. `responsible` are
    who owns or registered a version with these bytes.
    """
    if proposal.status != "open":
        return "settled"
    if current != proposal.from_level:
        return "overtaken"
    if kind != "human":
        return "is_service"
    if same_person(proposal.proposed_by, decider):
        return "is_proposer"
    if any(same_person(name, decider) for name in responsible):
        return "is_responsible"
    return None
