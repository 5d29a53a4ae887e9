"""One process of the platform: its specification, and a started one."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlops_platform.local import watchdog
from mlops_platform.local.state import created_at
from mlops_platform.local.watchdog_client import Watchdog


async def at_once(_process: "Process") -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class ProcessSpec:
    """What to run. `stage` orders stopping (lower first). Secrets go into `env`, never into `argv`."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    inherit: frozenset[str] | None = None
    """Names of this process's own environment variables that are passed on; None: all."""
    socket: Path | None = None
    """The Unix socket it listens on; what an earlier start left there is removed."""
    ready: "Callable[[Process], Awaitable[bool]]" = at_once
    ready_seconds: float = 90
    probe_seconds: float | None = None
    """How often a ready process is asked again whether it is; None: never."""
    hung_seconds: float = math.inf
    """How long a process that was ready may be silent before it counts as hung, is killed and started again."""
    final_codes: frozenset[int] = frozenset()
    """Exit codes after which a restart would not help."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    stage: int = 0
    url: str | None = None
    cwd: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the process."""
        own = os.environ.items()
        return {**{name: value for name, value in own if self.inherit is None or name in self.inherit}, **self.env}


class Process:
    """A started process: the leader of its own session and process group, its output in its log. Raises OSError."""

    def __init__(self, spec: ProcessSpec, log: Path, groups: Watchdog) -> None:
        self.spec = spec
        self.log = log
        if spec.socket is not None:
            spec.socket.unlink(missing_ok=True)
        # what an earlier start wrote does not speak for this one
        self.log_begins = log.stat().st_size if log.exists() else 0
        self.began = time.monotonic()
        self._watchdog = groups
        self._group_ended = False
        read_end, write_end = os.pipe()
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", watchdog.__file__, "exec", str(read_end), *spec.argv],
                    env=spec.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=spec.cwd,
                    start_new_session=True,
                    pass_fds=[read_end],
                )
            # the order matters: the watchdog knows the group before the program begins
            groups.add(self._process.pid, spec.stop_signal, spec.stage)
            os.write(write_end, b"g")
        finally:
            os.close(read_end)
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

    def last_lines(self, count: int) -> list[str]:
        """Return the end of what it wrote since it was started."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as stream:
            stream.seek(self.log_begins)
            return stream.read().decode(errors="replace").strip().splitlines()[-count:]

    def terminate(self) -> None:
        """Send its stop signal to the process, which ends its own children."""
        if self._process.poll() is None:
            self._process.send_signal(self.spec.stop_signal)

    def kill_group(self) -> None:
        """Kill the process and whatever it started in its group."""
        if self._group_ended:
            # the number may belong to somebody else by now
            return
        self._group_ended = self._process.poll() is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._watchdog.remove(self.pid)
