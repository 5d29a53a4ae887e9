"""Two API processes, two workers, one database: whatever people do at once and whichever worker is killed."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from mlops_platform.database import migrate
from mlops_platform.local.postgres import EmbeddedPostgres

from .machine import PlatformMachine
from .platform import Platform

# races are not repeated by running the same steps again: nothing is made smaller, and a round is named by its seed
_ROUND = settings(
    max_examples=1,
    stateful_step_count=30,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def platform(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    postgres.ensure_database("state")
    migrate.upgrade(postgres.url("state"))
    platform = Platform(tmp_path_factory.mktemp("state"), postgres.url("state"))
    yield platform
    platform.stop()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_whatever_happens_at_once_every_sentence_holds(platform: Platform, request: pytest.FixtureRequest) -> None:
    number, until = int(request.config.getoption("--state-seed")), time.monotonic() + _seconds(request)
    rounds = 0
    while rounds == 0 or time.monotonic() < until:
        _run(platform, number + rounds)
        rounds += 1
    assert rounds


def _seconds(request: pytest.FixtureRequest) -> float:
    return 60 * float(request.config.getoption("--state-minutes"))


def _run(platform: Platform, number: int) -> None:
    round_ = seed(number)(type("Round", (PlatformMachine,), {"platform": platform}))
    try:
        run_state_machine_as_test(round_, settings=_ROUND)
    except BaseException as error:
        error.add_note(f"again: pytest tests/state --state-seed {number} --state-minutes 0")
        raise
