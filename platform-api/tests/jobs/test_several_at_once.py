"""A job whose passes share the work runs several beside each other in one worker; every other job one after another."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mlops_platform import worker
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.builds import jobs as builds
from mlops_platform.kit.jobs import Job


class _Passes:
    """Passes that each wait until `most` of them run, or until it is clear that no more come."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.stop, self.running, self.most = stop, 0, 0

    async def run(self, _: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        if self.running == 3:
            self.stop.set()
        # others get their turn
        for _turn in range(20):
            await asyncio.sleep(0)
        self.running -= 1


async def _most(services: Any, monkeypatch: pytest.MonkeyPatch, copies: int) -> int:
    stop = asyncio.Event()
    passes = _Passes(stop)
    job = Job("several", 0.001, passes.run, exclusive=False, copies=lambda _: copies)
    monkeypatch.setattr(worker, "JOBS", [job])
    working = asyncio.create_task(worker.run(services, stop))
    if copies == 1:
        for _turn in range(200):
            await asyncio.sleep(0)
        stop.set()
    await asyncio.wait_for(working, 60)
    return passes.most


async def test_three_passes_run_beside_each_other_and_one_alone(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _most(services, monkeypatch, 3) == 3
    assert await _most(services, monkeypatch, 1) == 1


async def test_one_that_fails_stops_neither_its_neighbour_nor_itself(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, failed, went_on = asyncio.Event(), 0, 0

    async def run(_: Any) -> None:
        nonlocal failed, went_on
        if failed < 3:
            failed += 1
            raise RuntimeError("poisoned")
        went_on += 1
        if went_on == 4:
            stop.set()

    monkeypatch.setattr(worker, "JOBS", [Job("several", 0.001, run, exclusive=False, copies=lambda _: 2)])
    await asyncio.wait_for(worker.run(services, stop), 60)
    assert (failed, went_on >= 4) == (3, True)


def test_the_machine_says_how_many_models_are_built_at_once_unless_the_operator_does(
    services: BuiltServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores, found in ((1, 1), (2, 1), (8, 4)):
        monkeypatch.setattr(builds, "cores", lambda cores=cores: cores)
        assert builds.at_once(services) == found
    assert builds.at_once(replace(services, settings=services.settings.model_copy(update={"builds_at_once": 3}))) == 3
