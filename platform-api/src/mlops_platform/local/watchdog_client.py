"""The supervisor's end of the watchdog's pipe."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from mlops_platform.local import watchdog
from mlops_platform.local.state import created_at, same_process

# how long the processes of a killed supervisor go on, waiting for its successor
_SUCCESSOR_SECONDS = 60.0
_GOODBYE_SECONDS = 5.0


class Watchdog:
    """Keeps the watchdog process informed of every process group, and replaces it when somebody kills it."""

    def __init__(self, successor_seconds: float = _SUCCESSOR_SECONDS) -> None:
        """`successor_seconds`: how long every process goes on when this one is killed."""
        self._successor_seconds = successor_seconds
        self._groups: dict[int, tuple[int, int]] = {}
        self._process = self._spawn()
        self.created = created_at(self.pid)

    @property
    def pid(self) -> int:
        """Process id of the watchdog."""
        return self._process.pid

    def _spawn(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, "watch", str(self._successor_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            # in a session of its own, so that Ctrl-C and a closed terminal do not reach it
            start_new_session=True,
        )

    def ensure_running(self) -> None:
        """Replace a dead watchdog and send the new one every group."""
        if self._process.poll() is None:
            return
        self._process = self._spawn()
        self.created = created_at(self.pid)
        for group, (number, stage) in self._groups.items():
            self._send(f"+ {group} {number} {stage}")

    def add(self, group: int, number: signal.Signals, stage: int) -> None:
        """Have this group ended with `number` if we die; lower stages go first."""
        self._groups[group] = (int(number), stage)
        self._send(f"+ {group} {int(number)} {stage}")

    def remove(self, group: int) -> None:
        """This group is gone."""
        if self._groups.pop(group, None):
            self._send(f"- {group}")

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.ensure_running()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        # 'bye' only when nothing is left: after a crash in our own stopping, the watchdog finishes the job
        if not self._groups:
            self._send("bye")
            self._process.stdin.close()
            self._process.wait()
        else:
            self._send("end")
            self._process.stdin.close()


def dismiss(pid: int | None, created: float | None) -> None:
    """End the watchdog of a killed supervisor without its ending anything: a successor watches what it watched."""
    _tell(pid, created, signal.SIGUSR1)


def hurry(pid: int | None, created: float | None) -> None:
    """Have the watchdog of a killed supervisor end everything now, without waiting for a successor."""
    _tell(pid, created, signal.SIGUSR2, seconds=0)


def _tell(pid: int | None, created: float | None, number: signal.Signals, seconds: float = _GOODBYE_SECONDS) -> None:
    if pid is None or not same_process(pid, created):
        return
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + seconds
    while same_process(pid, created) and time.monotonic() < deadline:
        time.sleep(0.01)
