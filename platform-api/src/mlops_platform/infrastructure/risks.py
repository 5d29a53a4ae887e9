"""The changes of a plan that need a second look before they are applied. Pure.

Judged is what the plan makes worse: a thing that is as open as before is no risk of this plan. A policy of an existing
resource whose text is only known after apply cannot be judged, and is reported as a risk for that reason; policies of new
resources that cannot be read yet are listed, to be judged by the next plan.
"""

from dataclasses import dataclass

from mlops_platform.infrastructure import risks_exposure, risks_permissions, risks_state
from mlops_platform.infrastructure.dangers import Danger, Risk
from mlops_platform.infrastructure.plan import Change, Plan
from mlops_platform.infrastructure.policies import POLICY_FIELDS

__all__ = ["Danger", "Judgement", "Risk", "judge"]


@dataclass(frozen=True)
class Judgement:
    """What was found, and which new policies cannot be read before they are applied."""

    risks: tuple[Risk, ...]
    unread: tuple[str, ...]


def judge(plan: Plan) -> Judgement:
    """Return every risk of a plan, in the plan's order."""
    looks = (risks_state.of, risks_exposure.of, risks_permissions.of)
    found = [risk for change in plan.changes for look in looks for risk in look(change)]
    return Judgement(tuple(found), tuple(change.address for change in plan.changes if _unread(change)))


def _unread(change: Change) -> bool:
    return change.creates and any(change.unknown.get(name) is True for name in POLICY_FIELDS.get(change.type, ()))
