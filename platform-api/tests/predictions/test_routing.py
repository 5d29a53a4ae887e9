"""Which revision answers: shares hold, entities stay where they were, production goes before staging."""

from collections import Counter
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.predictions.problems import VersionNotLive
from mlops_platform.predictions.routing import Environment, ModelRoutes


def target(version: int) -> Any:
    return Mock(name=f"version {version}", version=version)


OLD, NEW = target(1), target(2)
CANARY = Environment(((0.95, OLD), (1.0, NEW)), {1: OLD, 2: NEW})


def test_shares_of_traffic_hold_for_entities_and_for_chance() -> None:
    for stickies in ([f"customer_{number}" for number in range(20_000)], [None] * 20_000):
        found = Counter(CANARY.choose(sticky).version for sticky in stickies)
        assert 0.04 < found[2] / 20_000 < 0.06


@given(st.text())
def test_the_same_entity_meets_the_same_revision(entity: str) -> None:
    assert len({CANARY.choose(entity).version for _ in range(5)}) == 1


@given(st.text(), st.floats(0.05, 0.9))
def test_an_entity_that_met_the_new_revision_keeps_it_while_its_share_grows(entity: str, share: float) -> None:
    def with_share(new: float) -> Environment:
        return Environment(((1 - new, OLD), (1.0, NEW)), {1: OLD, 2: NEW})

    if with_share(share).choose(entity) is NEW:
        assert with_share(min(1.0, share + 0.1)).choose(entity) is NEW


def test_production_answers_before_staging_unless_one_is_named() -> None:
    routes = ModelRoutes(
        "default",
        {"staging": Environment(((1.0, NEW),), {2: NEW}), "production": Environment(((1.0, OLD),), {1: OLD})},
    )
    assert routes.find("m", "latest", None, None) is OLD
    assert routes.find("m", "latest", "staging", None) is NEW
    assert routes.find("m", "2", None, None) is NEW
    with pytest.raises(VersionNotLive, match="1, 2"):
        routes.find("m", "3", None, None)
    for wrong in ("two", "-1", "", "1.0", "²", "9" * 5_000):
        with pytest.raises(VersionNotLive):
            routes.find("m", wrong, None, None)
    with pytest.raises(VersionNotLive):
        routes.find("m", "2", "production", None)


def test_a_version_on_standby_answers_when_named_but_gets_no_share() -> None:
    routes = ModelRoutes("default", {"staging": Environment(((1.0, NEW),), {1: OLD, 2: NEW})})
    assert routes.find("m", "1", None, None) is OLD
    assert {routes.find("m", "latest", None, str(number)).version for number in range(500)} == {2}
