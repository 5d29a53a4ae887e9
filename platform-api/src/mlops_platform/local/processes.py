"""One process of the platform: how it is started, when it is ready, how it is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlops_platform.local.guard import Guard
from mlops_platform.local.state import created_at

_LAUNCH = Path(__file__).with_name("launch.py")


async def at_once(_process: "Running") -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class Child:
    """What to run. `stage` orders stopping (lower first). Secrets go into `env`, never into `argv`."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: "Callable[[Running], Awaitable[bool]]" = at_once
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    ready_seconds: float = 90
    stage: int = 0
    url: str | None = None
    cwd: Path | None = None


class Running:
    """A started child: the leader of its own session and process group, its output in its log."""

    def __init__(self, child: Child, log: Path, guard: Guard) -> None:
        self.child = child
        self.log = log
        # what an earlier start wrote does not speak for this one
        self.log_begins = log.stat().st_size if log.exists() else 0
        self.began = time.monotonic()
        self._guard = guard
        read_end, write_end = os.pipe()
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_LAUNCH), str(read_end), *child.argv],
                    env={**os.environ, **child.env},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=child.cwd,
                    start_new_session=True,
                    pass_fds=[read_end],
                )
            os.close(read_end)
            # the order matters: the watchdog knows the group before the program begins
            guard.add(self._process.pid, child.stop_signal, child.stage)
            os.write(write_end, b"g")
        finally:
            os.close(write_end)
        self.created = created_at(self.pid)

    @property
    def pid(self) -> int:
        """Process id, which is also the group's."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return how it ended (negative: by that signal), None while it runs."""
        return self._process.poll()

    def how_it_ended(self) -> str:
        """Say how it ended, in words."""
        code = self._process.poll()
        if code is None:
            return "is running"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def signal_leader(self) -> None:
        """Ask the process to end, in the way it wants to be asked."""
        if self._process.poll() is None:
            self._process.send_signal(self.child.stop_signal)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and everything it started in its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def bury(self) -> None:
        """After the leader ended: kill what is left of its group, so that a restart does not meet its own past."""
        self.signal_group(signal.SIGKILL)
        self._guard.remove(self.pid)
