"""The supervisor's end of the watchdog's pipe."""

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_WATCHDOG = Path(__file__).with_name("watchdog.py")


class Guard:
    """Keeps the watchdog informed of every group, and replaces it when somebody kills it."""

    def __init__(self) -> None:
        self._groups: dict[int, tuple[int, int]] = {}
        self._process = self._spawn()

    @staticmethod
    def _spawn() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WATCHDOG)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            # in a session of its own, so that Ctrl-C and a closed terminal do not reach it
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id of the watchdog."""
        return self._process.pid

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.keep()

    def keep(self) -> bool:
        """Replace a dead watchdog and tell the new one everything; return whether that was needed."""
        if self._process.poll() is None:
            return False
        self._process = self._spawn()
        for group, (number, stage) in self._groups.items():
            self._tell(f"+ {group} {number} {stage}")
        return True

    def add(self, group: int, number: signal.Signals, stage: int) -> None:
        """End this group with `number` if we die; lower stages go first."""
        self._groups[group] = (int(number), stage)
        self._tell(f"+ {group} {int(number)} {stage}")

    def remove(self, group: int) -> None:
        """This group is gone."""
        if self._groups.pop(group, None):
            self._tell(f"- {group}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # 'bye' only when nothing is left: after a crash in our own stopping, the watchdog finishes the job
        if not self._groups:
            self._tell("bye")
        assert self._process.stdin is not None
        self._process.stdin.close()
