"""Kill things, and see that nothing is orphaned, nothing stays down, and stopping is orderly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_platform.local import orphans, watchdog
from mlops_platform.local import state as states
from mlops_platform.local.events import Event, follow
from mlops_platform.local.home import AlreadyRunning, Home

from ..support.waiting import eventually
from .conftest import is_alive

SCRIPT = Path(__file__).with_name("small_platform.py")


class SmallPlatform:
    def __init__(self, home: Home, successor_seconds: float = 0, asked: str = "") -> None:
        self.home = home
        command = [sys.executable, str(SCRIPT), str(home.folder), str(successor_seconds), asked]
        # whoever follows must not read the events of an earlier run
        (home.run / "events.jsonl").unlink(missing_ok=True)
        self.process = subprocess.Popen(command, start_new_session=True)
        self.seen: list[Event] = list(follow(home.run / "events.jsonl", lambda: self.process.poll() is None))

    @property
    def state(self) -> states.PlatformState:
        state = states.read(self.home.run / "state.json")
        assert state is not None
        return state

    def pid(self, name: str) -> int:
        pid = self.state.children[name].pid
        assert pid is not None
        return pid

    @property
    def grandchild(self) -> int:
        return int(self.home.log("parent").read_text().split("grandchild ")[-1].split()[0])

    def of_supervisor(self) -> list[int]:
        """The processes it started and that live, the watchdog among them."""
        children = psutil.Process(self.process.pid).children()
        return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def everybody(self) -> list[int]:
        return [*(self.pid(name) for name in self.state.children), self.grandchild]


@pytest.fixture
def running(home: Home) -> Iterator[SmallPlatform]:
    platform = SmallPlatform(home)
    yield platform
    if platform.process.poll() is None:
        platform.process.kill()
        platform.process.wait()


def test_every_process_is_reported_ready_and_is_the_leader_of_its_own_group(running: SmallPlatform) -> None:
    assert [event.name for event in running.seen if event.kind == "ready"] == ["server", "stubborn", "parent"]
    assert running.seen[-1].kind == "platform-ready"
    for name in running.state.children:
        assert os.getpgid(running.pid(name)) == running.pid(name)
        assert os.getsid(running.pid(name)) == running.pid(name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_orderly_stop_ends_everything_within_seconds_the_server_last(
    running: SmallPlatform, number: signal.Signals
) -> None:
    everybody = running.everybody()
    began = time.monotonic()
    running.process.send_signal(number)
    assert running.process.wait(15) == 0
    assert time.monotonic() - began < 6
    assert not any(is_alive(pid) for pid in everybody)
    assert running.state.phase == "stopped"


def test_a_killed_supervisor_leaves_no_process_behind(running: SmallPlatform) -> None:
    everybody = running.everybody()
    running.process.kill()
    running.process.wait()
    # one child ignores SIGTERM, one has a child of its own: the watchdog kills what does not listen
    eventually(lambda: not any(is_alive(pid) for pid in everybody), 25)
    assert not running.home.held(), "the kernel gives the lock back"


def test_a_killed_child_is_started_again_and_its_own_children_do_not_survive_it(running: SmallPlatform) -> None:
    first, grandchild = running.pid("parent"), running.grandchild
    os.kill(first, signal.SIGKILL)
    eventually(lambda: running.state.children["parent"].state == "ready" and running.pid("parent") != first)
    assert not is_alive(grandchild)
    assert running.state.children["parent"].restarts == 1
    assert is_alive(running.pid("parent"))
    words = (running.home.run / "events.jsonl").read_text()
    assert "parent was killed by SIGKILL; starting it again at once" in words


def test_a_killed_watchdog_is_replaced_and_still_does_its_work(running: SmallPlatform) -> None:
    def of_the_platform() -> psutil.Process | None:
        found = [
            child
            for child in psutil.Process(running.process.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE and child.cmdline()[-2:-1] == ["watch"]
        ]
        return found[0] if found else None

    first = of_the_platform()
    assert first is not None
    first.kill()
    eventually(lambda: (now := of_the_platform()) is not None and now.pid != first.pid)
    everybody = running.everybody()
    running.process.kill()
    running.process.wait()
    eventually(lambda: not any(is_alive(pid) for pid in everybody), 25)


def test_one_home_takes_one_supervisor(running: SmallPlatform) -> None:
    assert running.home.held()
    with pytest.raises(AlreadyRunning), running.home.locked():
        pass


def test_the_next_start_waits_for_the_processes_of_a_killed_one(running: SmallPlatform) -> None:
    everybody = running.everybody()
    running.process.kill()
    running.process.wait()
    orphans.end(running.state.children.values())
    assert not any(is_alive(pid) for pid in everybody[:-1])


def test_secrets_of_the_environment_are_on_no_command_line(running: SmallPlatform) -> None:
    for name in running.state.children:
        process = psutil.Process(running.pid(name))
        assert "SECRET" in process.environ()
        assert "SECRET" not in " ".join(process.cmdline())


def test_a_supervisor_killed_between_fork_and_watchdog_leaves_no_orphan(tmp_path: Path) -> None:
    """The newborn waits for one byte from its supervisor; end of file means that it never comes."""
    read_end, write_end = os.pipe()
    mark = tmp_path / "ran"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", watchdog.__file__, "exec", str(read_end), "touch", str(mark)], pass_fds=[read_end]
    )
    os.close(read_end)
    os.close(write_end)
    assert process.wait(5) == 1
    assert not mark.exists()
