"""Who must agree: the shipped table is the governance matrix, and no set of decisions gets around it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import mlops_platform.policy
from mlops_platform.approvals.quorum import Decision, evaluate, missing, objection
from mlops_platform.identity.principal import Role
from mlops_platform.policy.definition import Requirement
from mlops_platform.policy.loading import load

POLICY = Path(mlops_platform.policy.__file__).with_name("policy.yaml")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
# docs/governance/approval-policy.md, written out by hand: the shipped file is compared with this
MATRIX = {
    ("validation", "low"): [],
    ("validation", "medium"): [],
    ("validation", "high"): ["team-lead"],
    ("staging", "low"): [],
    ("staging", "medium"): ["senior-data-scientist", "manager"],
    ("staging", "high"): ["senior-data-scientist", "manager", "domain-expert"],
    ("production", "low"): ["manager"],
    ("production", "medium"): ["manager", "architect"],
    ("production", "high"): ["cab-member"] * 4,
    ("deprecated", "low"): ["manager"],
    ("deprecated", "medium"): ["manager", "architect"],
    ("deprecated", "high"): ["cab-member"] * 4,
}
DECIDERS = [Role.SENIOR_DATA_SCIENTIST, Role.MANAGER, Role.ARCHITECT, Role.DOMAIN_EXPERT, Role.CAB_MEMBER]
requirements = st.lists(st.builds(Requirement, role=st.sampled_from(DECIDERS), count=st.integers(1, 3)), max_size=3)
approvals = st.lists(
    st.builds(
        Decision,
        person=st.sampled_from(["ana", "ben", "cleo", "dan", "eve", "fay"]),
        roles=st.frozensets(st.sampled_from(DECIDERS)),
        verdict=st.just("approve"),
    ),
    max_size=6,
    unique_by=lambda decision: decision.person,
)


def fillable(needed: Sequence[Requirement], given_: Sequence[Decision], requester: str) -> int:
    """Count by trying every order how many slots can be filled: slow, and obviously right."""
    slots = [requirement.role for requirement in needed for _ in range(requirement.count)]
    people = [decision for decision in given_ if decision.person != requester]
    best = 0
    for order in permutations(people, min(len(people), len(slots))):
        for chosen in permutations(range(len(slots)), len(order)):
            best = max(best, sum(slots[slot] in person.roles for slot, person in zip(chosen, order, strict=True)))
        if best == min(len(people), len(slots)):
            break
    return best


def test_shipped_policy_is_the_governance_matrix() -> None:
    policy = load(POLICY)
    shipped = {
        (transition, level): [role.value for needed in levels[level] for role in [needed.role] * needed.count]
        for transition, levels in policy.transitions.items()
        for level in levels
    }
    assert shipped == MATRIX
    assert policy.due_hours(policy.requirements("production", "medium")) == 72
    assert policy.due_hours(policy.requirements("production", "high")) == 120


@given(
    requirements.filter(lambda needed: sum(one.count for one in needed) <= 4),
    approvals.filter(lambda made: len(made) <= 4),
)
def test_as_many_slots_are_filled_as_people_can_fill(needed: list[Requirement], made: list[Decision]) -> None:
    slots = sum(one.count for one in needed)
    assert slots - len(missing(needed, made, "ana")) == fillable(needed, made, "ana")


@given(requirements, approvals, st.randoms(use_true_random=False))
def test_the_order_of_decisions_and_the_requesters_own_never_matter(
    needed: list[Requirement], made: list[Decision], random: Random
) -> None:
    shuffled = list(made)
    random.shuffle(shuffled)
    others = [decision for decision in shuffled if decision.person != "ana"]
    assert sorted(missing(needed, made, "ana")) == sorted(missing(needed, others, "ana"))


@given(requirements.filter(bool), approvals)
def test_nothing_is_approved_with_fewer_people_than_slots(needed: list[Requirement], made: list[Decision]) -> None:
    slots = sum(one.count for one in needed)
    if len({decision.person for decision in made} - {"ana"}) < slots:
        assert evaluate(needed, made, "ana", LATER, NOW) == "pending"


@given(requirements, approvals)
def test_one_rejection_ends_it_whatever_else_was_said(needed: list[Requirement], made: list[Decision]) -> None:
    rejection = Decision(person="zoe", roles=frozenset({Role.MANAGER}), verdict="reject")
    assert evaluate(needed, [*made, rejection], "ana", LATER, NOW) == "rejected"


def test_a_request_nobody_finished_expires_and_a_finished_one_does_not() -> None:
    needed = [Requirement(role=Role.MANAGER, count=1)]
    manager = Decision(person="max", roles=frozenset({Role.MANAGER}), verdict="approve")
    assert evaluate(needed, [], "ana", NOW, NOW) == "expired"
    assert evaluate(needed, [], "ana", NOW, NOW - timedelta(seconds=1)) == "pending"
    assert evaluate(needed, [manager], "ana", NOW, NOW) == "approved"


def test_a_person_with_two_roles_fills_one_slot_and_frees_the_other() -> None:
    needed = [Requirement(role=Role.MANAGER, count=1), Requirement(role=Role.ARCHITECT, count=1)]
    both = Decision(person="bo", roles=frozenset({Role.MANAGER, Role.ARCHITECT}), verdict="approve")
    manager = Decision(person="max", roles=frozenset({Role.MANAGER}), verdict="approve")
    assert len(missing(needed, [both], "ana")) == 1
    assert missing(needed, [both, manager], "ana") == []


@pytest.mark.parametrize(
    ("person", "role", "verdict", "why"),
    [
        ("ana", Role.MANAGER, "approve", "is_requester"),
        ("ana", Role.MANAGER, "reject", "is_requester"),
        ("max", Role.MANAGER, "reject", "already_decided"),
        ("sue", Role.SENIOR_DATA_SCIENTIST, "approve", "role_not_needed"),
        ("sue", Role.SENIOR_DATA_SCIENTIST, "reject", "role_not_needed"),
        ("mia", Role.MANAGER, "approve", "role_not_needed"),
        ("ari", Role.ARCHITECT, "approve", None),
        ("mia", Role.MANAGER, "reject", None),
    ],
)
def test_a_decision_that_may_not_be_made_is_told_why(person: str, role: Role, verdict: str, why: str | None) -> None:
    needed = [Requirement(role=Role.MANAGER, count=1), Requirement(role=Role.ARCHITECT, count=1)]
    made = [Decision(person="max", roles=frozenset({Role.MANAGER}), verdict="approve")]
    proposed = Decision.model_validate({"person": person, "roles": {role}, "verdict": verdict})
    assert objection(needed, made, "ana", proposed) == why


@pytest.mark.parametrize("transition", ["staging", "production"])
def test_a_policy_that_forgets_a_risk_level_is_refused(transition: str) -> None:
    content = load(POLICY).model_dump(mode="json")
    del content["transitions"][transition]["high"]
    with pytest.raises(ValidationError, match=f"{transition} says nothing about high risk"):
        type(load(POLICY)).model_validate(content)


def test_a_rollout_that_never_reaches_all_traffic_is_refused() -> None:
    content = load(POLICY).model_dump(mode="json")
    content["rollouts"]["production"]["low"] = [{"traffic": 0.5, "hold_seconds": 1}]
    with pytest.raises(ValidationError, match="must rise to a traffic"):
        type(load(POLICY)).model_validate(content)
