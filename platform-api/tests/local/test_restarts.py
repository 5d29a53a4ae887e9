"""A process that fails is started again: at once, then with longer and longer pauses, until it was healthy for a while."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.local import supervised
from mlops_platform.local.process import Process, ProcessSpec
from mlops_platform.local.readiness import log_says
from mlops_platform.local.restart_policy import RestartPolicy
from mlops_platform.local.state import created_at
from mlops_platform.local.supervised import SupervisedProcess
from mlops_platform.local.watchdog_client import Watchdog

from .conftest import is_alive

QUICK = RestartPolicy(first_seconds=0.01, longest_seconds=0.04, healthy_seconds=60)
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"


def test_the_first_restart_comes_at_once_and_then_pauses_double_up_to_the_longest() -> None:
    failures, pauses = 0, []
    for _ in range(8):
        failures, pause = RestartPolicy().after(failures, 0)
        pauses.append(pause)
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30]


def test_only_a_healthy_period_ends_the_series() -> None:
    assert RestartPolicy().after(5, 59.9) == (6, 16)
    assert RestartPolicy().after(5, 60) == (1, 0)


@given(st.integers(0, 10**6), st.floats(0, 59))
def test_a_process_that_never_gets_healthy_is_never_given_up_and_never_hurried(failures: int, healthy: float) -> None:
    now, pause = RestartPolicy().after(failures, healthy)
    assert now == failures + 1
    assert pause <= 30
    assert RestartPolicy().after(now, healthy)[1] >= pause


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    with Watchdog() as watchdog:
        yield watchdog


class Watched:
    """A supervised process, and what it said about itself."""

    def __init__(self, spec: ProcessSpec, log: Path, watchdog: Watchdog, restart_policy: RestartPolicy = QUICK) -> None:
        self.messages: list[str] = []
        self.states: list[str] = []
        self.it = SupervisedProcess(spec, log, watchdog, self._changed, restart_policy)

    def _changed(self, process: SupervisedProcess) -> None:
        self.states.append(process.state)
        self.messages += [process.message] if process.state == "restarting" else []

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    @property
    def pid(self) -> int:
        assert self.it.process is not None
        return self.it.process.pid


async def test_a_process_that_is_silent_longer_than_the_healthy_period_is_not_hurried(
    tmp_path: Path, watchdog: Watchdog
) -> None:
    """It lives long each time, until it is given up, and was never healthy."""
    mark = tmp_path / "started-once"
    code = (
        f"import os, time\nif not os.path.exists({str(mark)!r}):\n open({str(mark)!r}, 'w'); print('up', flush=True)\n"
        " raise SystemExit(1)\ntime.sleep(600)"
    )
    spec = ProcessSpec("api", [sys.executable, "-c", code], ready=log_says("up"), ready_seconds=0.3)
    restart_policy = RestartPolicy(first_seconds=0.01, longest_seconds=10, healthy_seconds=0.25)
    watched = Watched(spec, tmp_path / "log", watchdog, restart_policy)
    watched.it.keep_running()
    await watched.until(lambda: len(watched.messages) >= 5)
    await watched.it.stop()
    assert [message.split("again ")[1].split(" (")[0] for message in watched.messages[:5]] == [
        "at once",
        "in 0.01 s",
        "in 0.02 s",
        "in 0.04 s",
        "in 0.08 s",
    ]
    assert "was not ready after 0.3 s" in watched.messages[4]


async def test_a_program_that_is_missing_is_tried_until_it_is_there(tmp_path: Path, watchdog: Watchdog) -> None:
    folder = tmp_path / "not-there-yet"
    spec = ProcessSpec("api", [sys.executable, "-c", SLEEPS], cwd=folder, ready=log_says("up"))
    watched = Watched(spec, tmp_path / "log", watchdog)
    watched.it.keep_running()
    await watched.until(lambda: len(watched.messages) >= 2)
    assert "could not be started" in watched.messages[0]
    folder.mkdir()
    await watched.until(lambda: watched.it.state == "ready")
    await watched.it.stop()
    assert not is_alive(watched.pid)


async def test_a_full_disk_where_its_state_is_written_does_not_end_its_supervision(
    tmp_path: Path, watchdog: Watchdog, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ProcessSpec("api", [sys.executable, "-c", SLEEPS], ready=log_says("up"))

    def changed(_process: SupervisedProcess) -> None:
        raise OSError(28, "No space left on device")

    it = SupervisedProcess(spec, tmp_path / "log", watchdog, changed, QUICK)
    await it.start()
    assert it.process is not None
    first = it.process.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(30):
        while it.state != "ready" or it.process.pid == first:
            await asyncio.sleep(0.01)
    await it.stop()
    assert "api is restarting, which could not be written down" in capsys.readouterr().err


async def test_a_process_whose_log_was_removed_is_waited_for_and_not_forgotten(
    tmp_path: Path, watchdog: Watchdog
) -> None:
    log = tmp_path / "log"

    async def log_is_gone(process: Process) -> bool:
        process.log.unlink(missing_ok=True)
        return await log_says("up")(process)

    spec = ProcessSpec("api", [sys.executable, "-c", SLEEPS], ready=log_is_gone, ready_seconds=0.3)
    watched = Watched(spec, log, watchdog)
    watched.it.keep_running()
    await watched.until(lambda: len(watched.messages) >= 2)
    await watched.it.stop()
    assert "was not ready" in watched.messages[0]


async def test_an_exit_code_that_no_restart_would_change_is_final(tmp_path: Path, watchdog: Watchdog) -> None:
    code = "print('digest_mismatch: files differ'); raise SystemExit(4)"
    spec = ProcessSpec("model", [sys.executable, "-c", code], ready=log_says("up"), final_codes=frozenset({4}))
    watched = Watched(spec, tmp_path / "log", watchdog)
    watched.it.keep_running()
    await watched.until(lambda: watched.it.state == "failed")
    assert watched.it.message == "digest_mismatch: files differ"
    assert watched.it.restarts == 0
    await watched.it.stop()


async def test_one_that_stops_answering_is_unready_and_no_healthy_period_counts(
    tmp_path: Path, watchdog: Watchdog
) -> None:
    answers = True

    async def ready(_process: Process) -> bool:
        return answers

    spec = ProcessSpec("model", [sys.executable, "-c", SLEEPS], ready=ready, probe_seconds=0.05)
    restart_policy = RestartPolicy(first_seconds=0.01, longest_seconds=1, healthy_seconds=0.0)
    watched = Watched(spec, tmp_path / "log", watchdog, restart_policy)
    await watched.it.start()
    answers = False
    await watched.until(lambda: watched.it.state == "unready")
    answers = True
    await watched.until(lambda: watched.it.state == "ready")
    await watched.it.stop()
    assert watched.states == ["starting", "ready", "unready", "ready", "stopped"]


@pytest.mark.parametrize("when", ["starting", "ready", "restarting"])
async def test_it_can_be_stopped_at_any_time_and_leaves_nothing(tmp_path: Path, watchdog: Watchdog, when: str) -> None:
    code = "raise SystemExit(1)" if when == "restarting" else SLEEPS
    ready = log_says("never" if when == "starting" else "up")
    spec = ProcessSpec("api", [sys.executable, "-c", code], ready=ready, socket=tmp_path / "s.sock")
    watched = Watched(spec, tmp_path / "log", watchdog, RestartPolicy(first_seconds=60))
    watched.it.keep_running()
    await watched.until(lambda: watched.it.state == when and (when != "restarting" or watched.it.restarts == 2))
    await watched.it.stop()
    assert watched.it.state == "stopped"
    assert not is_alive(watched.pid)
    await watched.it.stop()


async def test_a_process_number_that_was_given_away_is_not_killed(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ProcessSpec("migrations", [sys.executable, "-c", "pass"])
    watched = Watched(spec, tmp_path / "log", watchdog)
    await watched.it.run()
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _number: killed.append(group))
    await watched.it.stop()
    assert killed == []


async def test_a_process_that_hangs_is_killed_and_started_again(tmp_path: Path, watchdog: Watchdog) -> None:
    answering = tmp_path / "answering"
    answering.touch()

    async def answers(_process: Process) -> bool:
        return answering.exists()

    spec = ProcessSpec("sleeper", [sys.executable, "-c", SLEEPS], ready=answers, probe_seconds=0.05, hung_seconds=0.3)
    watched = Watched(spec, tmp_path / "log", watchdog)
    await watched.it.start()
    try:
        hung = watched.pid
        os.kill(hung, signal.SIGSTOP)
        answering.unlink()
        await watched.until(lambda: watched.it.restarts == 1)
        answering.touch()
        await watched.until(lambda: watched.it.state == "ready")
        assert not is_alive(hung)
        assert watched.pid != hung
        assert "did not answer for 0.3 s" in watched.messages[0]
    finally:
        await watched.it.stop()


async def test_a_process_that_is_silent_for_a_moment_is_left_alone(tmp_path: Path, watchdog: Watchdog) -> None:
    answering = tmp_path / "answering"
    answering.touch()

    async def answers(_process: Process) -> bool:
        return answering.exists()

    spec = ProcessSpec("sleeper", [sys.executable, "-c", SLEEPS], ready=answers, probe_seconds=0.05, hung_seconds=600)
    watched = Watched(spec, tmp_path / "log", watchdog)
    await watched.it.start()
    try:
        pid = watched.pid
        answering.unlink()
        await watched.until(lambda: watched.it.state == "unready")
        answering.touch()
        await watched.until(lambda: watched.it.state == "ready")
        assert (watched.pid, watched.it.restarts) == (pid, 0)
    finally:
        await watched.it.stop()


async def test_a_start_that_takes_long_is_waited_for_and_said(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "_PROGRESS_SECONDS", 0.2)
    code = f"import time\ntime.sleep(1)\n{SLEEPS}"
    spec = ProcessSpec("api", [sys.executable, "-c", code], ready=log_says("up"))
    said: list[str] = []
    it = SupervisedProcess(spec, tmp_path / "log", watchdog, lambda process: said.append(process.message), QUICK)
    await it.start()
    await it.stop()
    assert any("still starting after" in message for message in said)
    assert it.restarts == 0


async def test_what_an_ended_process_left_answering_goes_on_until_its_successor_is_ready(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "_HAND_OVER_SECONDS", 0.1)
    permission = tmp_path / "permission"
    permission.touch()
    code = "import subprocess, time; p = subprocess.Popen(['sleep', '600']); print('child', p.pid, flush=True); time.sleep(600)"

    async def ready(process: Process) -> bool:
        return permission.exists() and await log_says("child")(process)

    spec = ProcessSpec("api", [sys.executable, "-c", code], ready=ready, hands_over=True)
    watched = Watched(spec, tmp_path / "log", watchdog)
    await watched.it.start()
    left = int((tmp_path / "log").read_text().split()[1])
    permission.unlink()
    os.kill(watched.pid, signal.SIGKILL)
    await watched.until(lambda: (tmp_path / "log").read_text().count("child") == 2)
    assert is_alive(left)
    permission.touch()
    await watched.until(lambda: not is_alive(left))
    assert watched.it.state == "ready"
    await watched.it.stop()


async def test_a_hung_survivor_is_not_taken_over(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "_ADOPTION_SECONDS", 0.3)
    spec = ProcessSpec("api", [sys.executable, "-c", SLEEPS], ready=log_says("up"))
    first = Watched(spec, tmp_path / "log", watchdog)
    await first.it.start()
    hung, created = first.pid, created_at(first.pid)
    assert created is not None
    second = Watched(spec, tmp_path / "log", watchdog)
    # the words it once wrote do not count for a process that is taken over
    second.it.offer(hung, created)
    await second.it.start()
    assert second.pid != hung
    assert not is_alive(hung)
    await asyncio.gather(first.it.stop(), second.it.stop())
