"""Who may confirm that a level is lowered, and when. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from mlops_platform.policy.definition import RiskLevel

Status = Literal["open", "confirmed", "refused", "overtaken"]
Objection = Literal["settled", "overtaken", "is_service", "is_proposer", "is_owner"]


@dataclass(frozen=True)
class Proposal:
    """Somebody's wish that a level becomes lower than it was then."""

    proposed_by: str
    from_level: RiskLevel
    to_level: RiskLevel
    status: Status


def objection(
    proposal: Proposal, current: RiskLevel, decider: str, kind: Literal["human", "service"], owners: Collection[str]
) -> Objection | None:
    """Return why this person may not decide on the proposal now, or None when they may.

    `current` is the digest's level now: who raised it in the meantime knew something the proposer did not. `owners` are who is
    named as responsible for a version with these bytes.
    """
    if proposal.status != "open":
        return "settled"
    if current != proposal.from_level:
        return "overtaken"
    if kind != "human":
        return "is_service"
    if _same(decider, proposal.proposed_by):
        return "is_proposer"
    if any(_same(decider, owner) for owner in owners):
        return "is_owner"
    return None


def _same(one: str, other: str) -> bool:
    # a capital or a blank does not make a second person
    return one.strip().casefold() == other.strip().casefold()
