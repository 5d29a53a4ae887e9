"""What gates amount to, with values only."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.checks.policy import Standing, figures, limit_ms, performance, scan, shortfalls
from mlops_platform.policy.definition import GateName, PerformanceLimits

LIMITS = PerformanceLimits(warm_up=10, requests=100, p95_ms=200, error_share=0.01)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GATES: list[GateName] = ["validate", "scan", "performance", "smoke"]


@given(st.lists(st.floats(0.0001, 10), min_size=1, max_size=300))
def test_percentiles_are_durations_that_were_measured_in_order(seconds: list[float]) -> None:
    found = figures(seconds, 0)
    assert found.p50_ms <= found.p95_ms <= found.p99_ms
    assert {found.p50_ms, found.p95_ms, found.p99_ms} <= {one * 1000 for one in seconds}
    assert sum(one * 1000 <= found.p95_ms for one in seconds) >= 0.95 * len(seconds)


def test_nothing_answered_is_no_pass_whatever_the_limit() -> None:
    found = figures([], 100)
    assert math.isinf(found.p95_ms)
    judged = performance(found, {"slo_p95_ms": "1e300"}, LIMITS)
    assert (judged.status, judged.detail["p95_ms"]) == ("failed", None)


@pytest.mark.parametrize(
    ("tag", "limit"), [("50", 50), (" 12.5 ", 12.5), ("0", 200), ("-1", 200), ("nan", 200), ("inf", 200), ("fast", 200)]
)
def test_a_version_names_its_own_limit_only_by_a_positive_number(tag: str, limit: float) -> None:
    assert limit_ms({"slo_p95_ms": tag}, LIMITS) == limit
    assert limit_ms({}, LIMITS) == 200


@pytest.mark.parametrize(
    ("milliseconds", "errors", "status"), [(200, 0, "passed"), (200.1, 0, "failed"), (1, 1, "passed"), (1, 2, "failed")]
)
def test_performance_is_judged_at_its_edges(milliseconds: float, errors: int, status: str) -> None:
    answered = [milliseconds / 1000] * (100 - errors)
    judged = performance(figures(answered, errors), {}, LIMITS)
    assert judged.status == status, judged.sentence


@given(
    st.lists(st.sampled_from(GATES), unique=True),
    st.dictionaries(
        st.sampled_from(GATES),
        st.tuples(st.sampled_from(["passed", "failed", "overridden"]), st.integers(-100, 100)),
    ),
)
def test_a_deployment_passes_exactly_when_every_required_gate_passed_and_still_counts(
    required: list[GateName], known: dict[GateName, tuple[Any, int]]
) -> None:
    newest = {
        gate: Standing(status, "said", NOW + timedelta(seconds=seconds)) for gate, (status, seconds) in known.items()
    }
    found = shortfalls(required, newest, NOW)
    good = {gate for gate, (status, seconds) in known.items() if status != "failed" and seconds > 0}
    assert [one.gate for one in found] == [gate for gate in required if gate not in good]


def test_a_scan_without_a_signature_is_no_pass() -> None:
    steps = [{"name": name, "status": "passed", "detail": name} for name in ("digest", "format", "scan")]
    assert scan({"steps": steps}, "ab" * 32).status == "passed"
    assert scan({"steps": steps}, None).status == "failed"
    assert scan({"steps": steps[:2], "detail": "refused"}, "ab" * 32).status == "failed"
    warned = [*steps[:2], {"name": "scan", "status": "warning", "detail": "odd"}]
    assert scan({"steps": warned}, "ab" * 32).status == "failed"
