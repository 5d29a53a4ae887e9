"""The supervisor's end of the watchdog's pipe."""

import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from mlops_platform.local import watchdog


class Watchdog:
    """Keeps the watchdog process informed of every process group, and replaces it when somebody kills it."""

    def __init__(self) -> None:
        self._groups: dict[int, tuple[int, int]] = {}
        self._process = self._spawn()

    @staticmethod
    def _spawn() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__],
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
            self._process.stdin.close()
