"""The life of a revision and of its rollout: only what the tables say can happen."""

import itertools
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlops_platform.policy
from mlops_platform.deployments.state import (
    ANSWERING,
    ENDED,
    FOLLOWS,
    PENDING,
    RUNNING,
    ForbiddenTransition,
    State,
    check,
)
from mlops_platform.policy.definition import Gate, Step
from mlops_platform.policy.loading import load
from mlops_platform.rollouts.rollout import Advance, Hold, Promote, RollBack, Signal, next_step

POLICY = Path(mlops_platform.policy.__file__).with_name("policy.yaml")
STATES: tuple[State, ...] = get_args(State)
GATE = Gate(p99_seconds=0.1, error_share=0.01, minimum_requests=20)
PLAN = [Step(traffic=0.05, hold_seconds=60), Step(traffic=0.5, hold_seconds=60), Step(traffic=1.0, hold_seconds=0)]
signals = st.builds(
    Signal,
    requests=st.integers(0, 1_000),
    errors=st.integers(0, 1_000),
    p99_seconds=st.none() | st.floats(0, 2),
).filter(lambda signal: signal.errors <= signal.requests)


def test_every_step_is_either_in_the_table_or_refused() -> None:
    for current, following in itertools.product(STATES, STATES):
        if following in FOLLOWS[current]:
            check(current, following, "built")
        else:
            with pytest.raises(ForbiddenTransition):
                check(current, following, "built")


def test_what_ended_stays_ended_and_nothing_waits_forever() -> None:
    assert {"retired", "failed", "rejected", "expired", "withdrawn", "rolled_back"} == ENDED
    assert not ENDED & (ANSWERING | RUNNING | PENDING)
    for state in set(STATES) - ENDED:
        assert reachable(state) & ENDED, f"{state} can never end"


def reachable(state: State) -> set[State]:
    found: set[State] = set()
    waiting = {state}
    while waiting:
        following = {after for one in waiting for after in FOLLOWS[one]} - found
        found |= following
        waiting = following
    return found


def test_traffic_is_only_reached_through_approval_and_a_start() -> None:
    for state in STATES:
        if FOLLOWS[state] & {"rolling_out"}:
            assert state == "starting"
        if "starting" in FOLLOWS[state]:
            assert state == "approved"


@pytest.mark.parametrize("build", ["pending", "refused"])
def test_nothing_unproven_starts(build: str) -> None:
    with pytest.raises(ForbiddenTransition, match="before it is built"):
        check("approved", "starting", build)  # type: ignore[arg-type]


@given(signals, st.integers(0, 2), st.floats(0, 1e6), st.booleans(), st.sampled_from(["hold", "advance"]))
def test_a_step_ends_with_enough_time_and_enough_good_requests(
    signal: Signal, step: int, held: float, paused: bool, without_traffic: Literal["hold", "advance"]
) -> None:
    gate = GATE.model_copy(update={"without_traffic": without_traffic})
    outcome = next_step(PLAN, step, held, signal, gate, paused=paused)
    enough = signal.requests >= 20
    too_many_errors = signal.errors > 0.01 * max(signal.requests, 20)
    too_slow = enough and signal.p99_seconds is not None and signal.p99_seconds > 0.1
    if too_many_errors or too_slow:
        assert isinstance(outcome, RollBack)
    elif paused or held < PLAN[step].hold_seconds or (not enough and without_traffic == "hold"):
        assert isinstance(outcome, Hold)
    elif step == 2:
        assert outcome == Promote()
    else:
        assert outcome == Advance(step + 1)


@pytest.mark.parametrize(
    ("signal", "goes_back"),
    [
        (Signal(19, 19, 5.0), True),  # no twentieth request could save it
        (Signal(19, 0, 5.0), False),  # too few to judge latency
        (Signal(1, 1, None), True),  # one of twenty is 5 % already
        (Signal(0, 0, None), False),
        (Signal(20, 0, 0.1), False),  # exactly at the limit is within it
        (Signal(20, 0, 0.1000001), True),
        (Signal(100, 1, None), False),
        (Signal(100, 2, None), True),
    ],
)
def test_gate_at_its_edges(signal: Signal, goes_back: bool) -> None:
    assert isinstance(next_step(PLAN, 0, 0, signal, GATE, paused=True), RollBack) == goes_back


def test_without_requests_nothing_advances_however_long_it_is_held() -> None:
    for step in range(3):
        outcome = next_step(PLAN, step, 1e9, Signal(0, 0, None), GATE, paused=False)
        assert isinstance(outcome, Hold)
        assert "0 of 20 requests" in outcome.because


def test_a_plan_that_gives_everything_at_once_waits_for_no_evidence() -> None:
    at_once = [Step(traffic=1.0, hold_seconds=0)]
    assert next_step(at_once, 0, 0, Signal(0, 0, None), GATE, paused=False) == Promote()
    assert next_step(at_once, 0, 0, Signal(0, 0, None), GATE, paused=True) == Hold("paused")


def test_shipped_rollouts_start_small_in_production_and_end_with_everything() -> None:
    policy = load(POLICY)
    for level, plan in policy.rollouts["production"].items():
        assert plan[0].traffic == 0.05, level
        assert plan[-1].traffic == 1.0
    assert [step.hold_seconds for step in policy.plan("production", "high")][:2] == [24 * 3600, 48 * 3600]
