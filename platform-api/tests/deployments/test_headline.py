"""The head of a deployment says what serves; only operations that would change something are offered."""

from dataclasses import dataclass

import pytest

from mlops_platform.deployments.headline import headline
from mlops_platform.deployments.operations import possible


@dataclass(frozen=True)
class Shown:
    version: int
    state: str
    traffic: float = 0.0
    build: str = "built"


@pytest.mark.parametrize(
    ("serving", "coming", "newest", "sentence"),
    [
        (None, None, None, "nothing serves"),
        (Shown(1, "live", 1.0), None, Shown(1, "live"), "version 1 serves 100% of requests"),
        (
            Shown(1, "live", 1.0),
            Shown(3, "awaiting_approval"),
            Shown(3, "awaiting_approval"),
            "version 1 serves 100% of requests; version 3 waits for approval",
        ),
        (
            Shown(1, "live", 0.95),
            Shown(2, "rolling_out", 0.05),
            Shown(2, "rolling_out"),
            "version 1 serves 95% of requests; version 2 is rolling out with 5% of requests",
        ),
        (
            Shown(1, "live", 1.0),
            Shown(2, "approved", build="pending"),
            Shown(2, "approved"),
            "version 1 serves 100% of requests; version 2 is being built",
        ),
        (None, None, Shown(2, "rolled_back"), "nothing serves; version 2 is rolled back"),
    ],
)
def test_one_sentence_says_what_serves_first(
    serving: Shown | None, coming: Shown | None, newest: Shown | None, sentence: str
) -> None:
    assert headline(serving, coming, newest) == sentence


@pytest.mark.parametrize(
    ("states", "paused", "offered"),
    [
        ([], False, []),
        (["rejected"], False, []),
        (["live"], False, ["pause", "undeploy"]),
        (["live", "standby"], False, ["pause", "rollback", "undeploy"]),
        (["live", "standby"], True, ["resume", "rollback", "undeploy"]),
        (["rolling_out", "live"], False, ["promote", "pause", "rollback", "undeploy"]),
        (["awaiting_approval"], False, ["pause", "undeploy"]),
    ],
)
def test_only_what_would_change_something_is_possible(states: list[str], paused: bool, offered: list[str]) -> None:
    assert possible([Shown(1, state) for state in states], paused=paused) == offered
