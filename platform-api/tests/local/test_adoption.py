"""A killed supervisor: its processes go on, the next one takes them over, and without a next one they end in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from mlops_platform.local import survivors
from mlops_platform.local.home import Home

from ..support.waiting import eventually
from .conftest import is_alive
from .test_supervision import SmallPlatform

Starts = Callable[..., SmallPlatform]


@pytest.fixture
def starts(home: Home) -> Iterator[Starts]:
    started: list[SmallPlatform] = []

    def start(successor_seconds: float = 60, asked: str = "") -> SmallPlatform:
        started.append(SmallPlatform(home, successor_seconds, asked))
        return started[-1]

    yield start
    for platform in started:
        platform.process.kill()
        platform.process.wait()
    survivors.find(home).end(0)


def killed(platform: SmallPlatform) -> None:
    platform.process.kill()
    platform.process.wait()


def test_a_successor_takes_over_every_process_and_restarts_it_when_it_ends(starts: Starts) -> None:
    first = starts()
    everybody = {name: first.pid(name) for name in first.state.children}
    killed(first)
    second = starts()
    assert {name: second.pid(name) for name in second.state.children} == everybody
    assert all(is_alive(pid) for pid in everybody.values())
    os.kill(everybody["server"], signal.SIGKILL)
    eventually(lambda: second.pid("server") != everybody["server"] and second.state.children["server"].restarts == 1)


def test_a_successor_of_a_successor_takes_over_too_and_stops_everything_in_order(starts: Starts) -> None:
    first = starts()
    everybody = first.everybody()
    killed(first)
    killed(starts())
    third = starts()
    assert third.everybody() == everybody
    third.process.send_signal(signal.SIGTERM)
    assert third.process.wait(20) == 0
    assert not any(is_alive(pid) for pid in everybody)


def test_what_would_be_started_otherwise_now_is_not_taken_over(starts: Starts) -> None:
    first = starts()
    before = {name: first.pid(name) for name in first.state.children}
    killed(first)
    second = starts(asked="something else")
    assert second.pid("server") == before["server"]
    assert second.pid("parent") != before["parent"]
    assert not is_alive(before["parent"])


def test_what_died_meanwhile_is_started(starts: Starts) -> None:
    first = starts()
    server = first.pid("server")
    killed(first)
    os.kill(server, signal.SIGKILL)
    second = starts()
    assert second.pid("server") != server
    assert second.pid("parent") == first.pid("parent")


def test_without_a_successor_they_go_on_for_a_while_and_end(starts: Starts) -> None:
    first = starts(successor_seconds=3)
    everybody = first.everybody()
    killed(first)
    began = time.monotonic()
    # one ignores SIGTERM and is killed after eight more seconds
    eventually(lambda: not any(is_alive(pid) for pid in everybody), 25)
    assert time.monotonic() - began >= 3


def test_down_ends_what_waits_for_a_successor(starts: Starts, home: Home) -> None:
    first = starts()
    everybody = first.everybody()
    killed(first)
    found = survivors.find(home)
    assert found
    found.end(20)
    assert not any(is_alive(pid) for pid in everybody)
    assert not survivors.find(home)


def test_a_later_process_with_the_same_number_is_not_taken_over(starts: Starts, home: Home) -> None:
    first = starts()
    state = (home.run / "state.json").read_text()
    pid = first.pid("server")
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(20)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (home.run / "state.json").write_text(state.replace(f'"pid": {pid}', f'"pid": {stranger.pid}'))
        try:
            assert "server" not in survivors.find(home).children
            second = starts()
            assert second.pid("server") != stranger.pid
            assert stranger.poll() is None
        finally:
            stranger.kill()
