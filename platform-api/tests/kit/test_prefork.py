"""Two forked processes: one that dies or hangs is replaced, the parent is not needed to answer, and stopping ends all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ..support.waiting import eventually

SCRIPT = Path(__file__).with_name("prefork_script.py")


class Pool:
    def __init__(self, folder: Path, what: str) -> None:
        self.heartbeat, self.log = folder / "alive", folder / "log"
        with self.log.open("wb") as log:
            command = [sys.executable, str(SCRIPT), str(self.heartbeat), what]
            self.parent = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def children(self) -> list[int]:
        found = psutil.Process(self.parent.pid).children()
        return sorted(child.pid for child in found if child.status() != psutil.STATUS_ZOMBIE)

    def answering(self) -> list[int]:
        said = self.log.read_text()
        return [pid for pid in self.children() if f"child {pid}\n" in said]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Callable[[str], Pool]]:
    started: list[Pool] = []

    def start(what: str = "beats") -> Pool:
        started.append(Pool(tmp_path, what))
        if what == "beats":
            eventually(lambda: len(started[-1].answering()) == 2)
        return started[-1]

    yield start
    for each in started:
        if each.parent.poll() is None or psutil.pid_exists(each.parent.pid):
            os.killpg(each.parent.pid, signal.SIGKILL)
        each.parent.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_dies_or_hangs_is_replaced_and_the_other_is_left_alone(
    pool: Callable[..., Pool], number: signal.Signals
) -> None:
    running = pool()
    first, second = running.children()
    os.kill(first, number)
    eventually(lambda: first not in running.children() and len(running.answering()) == 2)
    assert second in running.children()


def test_a_parent_that_stood_still_blames_no_child(pool: Callable[..., Pool]) -> None:
    running = pool()
    before = running.children()
    os.kill(running.parent.pid, signal.SIGSTOP)
    beaten = running.heartbeat.stat().st_mtime
    # longer than the children may be silent
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 3)
    os.kill(running.parent.pid, signal.SIGCONT)
    eventually(lambda: running.heartbeat.stat().st_mtime > beaten)
    assert running.children() == before


def test_children_go_on_without_their_parent(pool: Callable[..., Pool]) -> None:
    running = pool()
    before = running.children()
    running.parent.kill()
    running.parent.wait()
    try:
        assert all(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in before)
    finally:
        os.killpg(running.parent.pid, signal.SIGKILL)


def test_stopping_ends_everybody(pool: Callable[..., Pool]) -> None:
    running = pool()
    before = running.children()
    running.parent.terminate()
    assert running.parent.wait(30) == 0
    assert not any(psutil.pid_exists(pid) for pid in before)


@pytest.mark.parametrize(("what", "said"), [("fails", "no such model"), ("silent", "was silent for 2 s")])
def test_children_that_cannot_start_are_tried_again_and_nobody_is_told_that_they_answer(
    pool: Callable[..., Pool], what: str, said: str
) -> None:
    running = pool(what)
    eventually(lambda: running.log.read_text().count("another takes its place") >= 3)
    assert said in running.log.read_text()
    assert not running.heartbeat.exists()
