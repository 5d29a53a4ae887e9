"""Several processes from one parent that has imported everything: they share its memory, and one that dies is replaced at once.

The parent answers nothing and opens nothing. It forks, listens to heartbeats, kills what hangs and forks again.
"""

import contextlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

Beat = Callable[[], None]

_TICK_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_ENOUGH = 4_096


@dataclass
class _Child:
    pid: int
    pipe: int
    forked: float
    heard: float
    ready: bool = False


@dataclass(frozen=True)
class Limits:
    """Seconds: how long a child may take to its first heartbeat, may be silent after it, and may take to end."""

    start: float = 600
    silence: float = 20
    stop: float = 8


class Prefork:
    """Keeps `count` children running `serve`, which gets a function to call at least every second once it answers.

    `alive` is called about every half second while at least one child answers.
    """

    def __init__(self, serve: Callable[[Beat], None], count: int, alive: Callable[[], None], limits: Limits) -> None:
        self._serve = serve
        self._count = count
        self._alive = alive
        self._limits = limits
        self._children: dict[int, _Child] = {}
        self._failures = 0
        self._due = 0.0
        self._stopping = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return 0 when every child has ended."""
        # a signal ends the wait below: Python's own handlers alone would let it go on
        wake, wakened = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wakened, False)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            self._fill()
            self._hear(wake)
            self._end_the_silent()
            if any(child.ready and self._silence(child) < 2 * _TICK_SECONDS + 1 for child in self._children.values()):
                self._alive()
        self._end_all()
        return 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _fill(self) -> None:
        while len(self._children) < self._count and time.monotonic() >= self._due:
            self._fork()

    def _fork(self) -> None:
        heard, said = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_child(heard, said)
        os.close(said)
        now = time.monotonic()
        self._children[heard] = _Child(pid, heard, now, now)

    def _become_child(self, heard: int, said: int) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            for pipe in (heard, *self._children):
                os.close(pipe)
            # a parent that is gone or stands still must not stop who answers
            os.set_blocking(said, False)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)

            def beat() -> None:
                with contextlib.suppress(OSError):
                    os.write(said, b".")

            self._serve(beat)
            code = 0
        except BaseException:  # noqa: BLE001 - nothing of the parent may run in a child that has failed
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, wake: int) -> None:
        readable, _, _ = select.select([wake, *self._children], [], [], _TICK_SECONDS)
        for pipe in readable:
            if pipe == wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, _ENOUGH)
            elif os.read(pipe, _ENOUGH):
                child = self._children[pipe]
                child.heard = time.monotonic()
                if not child.ready:
                    child.ready, self._failures = True, 0
            else:
                self._bury(self._children.pop(pipe))

    def _bury(self, child: _Child) -> None:
        os.close(child.pipe)
        # its end of the pipe closes a moment before it can be waited for
        _, status = os.waitpid(child.pid, 0)
        if self._stopping:
            return
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if not child.ready:
            self._failures += 1
            self._due = time.monotonic() + min(2.0**self._failures, _LONGEST_PAUSE)
        sys.stderr.write(f"process {child.pid} {how}; another takes its place\n")

    def _end_the_silent(self) -> None:
        for child in self._children.values():
            limit = self._limits.silence if child.ready else self._limits.start
            if self._silence(child) > limit:
                sys.stderr.write(f"process {child.pid} was silent for {limit:g} s and is killed\n")
                os.kill(child.pid, signal.SIGKILL)

    def _silence(self, child: _Child) -> float:
        return time.monotonic() - child.heard

    def _end_all(self) -> None:
        for child in self._children.values():
            os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + self._limits.stop
        while self._children:
            readable, _, _ = select.select(list(self._children), [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                for child in self._children.values():
                    os.kill(child.pid, signal.SIGKILL)
                deadline = time.monotonic() + self._limits.stop
            for pipe in readable:
                if not os.read(pipe, _ENOUGH):
                    self._bury(self._children.pop(pipe))
