"""One process of the platform: its specification, and a started one."""

import hashlib
import json
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
from typing import TYPE_CHECKING

from mlops_platform import __version__
from mlops_platform.local import watchdog
from mlops_platform.local.state import created_at, same_process
from mlops_platform.local.turns import Turns
from mlops_platform.local.watchdog_client import Watchdog

if TYPE_CHECKING:
    from mlops_platform.local.forked import Forks


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
    ready_seconds: float = 600
    """How long it may take to its readiness before it is killed and begun again: the slower the machine, the longer."""
    alive: "Callable[[Process], Awaitable[bool]] | None" = None
    """What a ready process is asked again and again; None: whether it is ready."""
    probe_seconds: float | None = None
    """How often it is asked; None: never."""
    hung_seconds: float = math.inf
    """How long a process that was ready may be silent before it counts as hung, is killed and started again."""
    hands_over: bool = False
    """The processes it started answer without it: when it ends, they go on until its successor is ready."""
    final_codes: frozenset[int] = frozenset()
    """Exit codes after which a restart would not help."""
    forked_by: "Forks | None" = None
    """Who forks it from a template; without, and where that is not possible, it has an interpreter of its own."""
    turns: "Turns | None" = None
    """How many like it may start at once; None: all."""
    keep: tuple[int, ...] = ()
    """Descriptors it inherits beside the standard ones, under the same numbers."""
    idle_code: int | None = None
    """The exit code of a process that leaves because nobody asked it anything."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    stage: int = 0
    url: str | None = None
    cwd: Path | None = None

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the process."""
        own = os.environ.items()
        return {**{name: value for name, value in own if self.inherit is None or name in self.inherit}, **self.env}

    def fingerprint(self) -> str:
        """Return what two specifications share when the same process serves both. Tells nothing of the environment."""
        asked = [__version__, self.argv, sorted(self.env.items()), str(self.cwd), str(self.socket)]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


class Process:
    """A started process: the leader of its own session and process group, its output in its log. Raises OSError."""

    UNKNOWN = 255
    """The exit code when nobody can know how it ended."""

    def __init__(self, spec: ProcessSpec, log: Path, groups: Watchdog) -> None:
        self.spec = spec
        self.log = log
        if spec.socket is not None:
            spec.socket.unlink(missing_ok=True)
        # what an earlier start wrote does not speak for this one
        self.log_begins = log.stat().st_size if log.exists() else 0
        self.began = time.monotonic()
        # by our own clock: the system's word on when a process was created can be a second early, and then a heartbeat of the
        # one before would speak for this one
        self.since = time.time()
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
                    pass_fds=[read_end, *spec.keep],
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
        code = self.exit_code()
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
        if self.exit_code() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, self.spec.stop_signal)

    def kill(self) -> None:
        """Kill the process, and nothing that it started."""
        if self.exit_code() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def terminate_group(self) -> None:
        """Send its stop signal to everything it started, once it has ended itself."""
        if not self._group_ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, self.spec.stop_signal)

    def kill_group(self) -> None:
        """Kill the process and whatever it started in its group."""
        if self._group_ended:
            # the number may belong to somebody else by now
            return
        self._group_ended = self.exit_code() is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._watchdog.remove(self.pid)


class AdoptedProcess(Process):
    """A process that an earlier supervisor started, and that outlived it: not a child of this one."""

    def __init__(self, spec: ProcessSpec, log: Path, groups: Watchdog, pid: int, created: float) -> None:
        self.spec = spec
        self.log = log
        self.log_begins = log.stat().st_size if log.exists() else 0
        self.began = time.monotonic()
        self._watchdog = groups
        self._group_ended = False
        self._pid = pid
        self._ended = False
        self.created = created
        self.since = created
        groups.add(pid, spec.stop_signal, spec.stage)

    @property
    def pid(self) -> int:
        """Process id, which is also the group's."""
        return self._pid

    def exit_code(self) -> int | None:
        """Return 255 when it has ended, None while it runs."""
        self._ended = self._ended or not same_process(self._pid, self.created)
        return self.UNKNOWN if self._ended else None

    def how_it_ended(self) -> str:
        """Say whether it ended."""
        return "is running" if self.exit_code() is None else "ended"
