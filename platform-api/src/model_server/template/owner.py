"""The owner's side: a template it has started or inherited, and the processes forked from it, with the face of Popen."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from model_server.template.messages import FRAME, PID, STATUS, Request, send_request
from model_server.template.preload import VARIABLES

# from the start of a template, which imports, to its first fork; a slow machine with other work
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_BEGIN_SECONDS = 10.0
# how a process ended is told by the template; by nobody when that was killed
_UNKNOWN = 255
_TOLD_SECONDS = 5.0


class TemplateGone(OSError):
    """The template has ended, or does not answer: another one is needed."""


def possible() -> bool:
    """Whether this machine can have templates: Linux with descriptors of processes."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


class ForkedProcess:
    """A process forked from a template: `pid`, `poll`, `wait` as of Popen; it begins at `begin`, and ends if its owner goes first.

    Its id stays its own until `close`, which waits for nothing.
    """

    def __init__(self, connection: socket.socket, patience_seconds: float = _START_SECONDS) -> None:
        """Take the owner's end of a connection that was sent to a template. Raises TemplateGone."""
        self._connection = connection
        self.returncode: int | None = None
        self._template_gone = False
        self._ended_at: float | None = None
        connection.settimeout(patience_seconds)
        try:
            frame = connection.recv(FRAME.size, socket.MSG_WAITALL)
            if len(frame) < FRAME.size:
                raise TemplateGone("the template ended, or could not fork")
            kind, pid = FRAME.unpack(frame)
            self.pid: int = pid
            if kind != PID:
                raise TemplateGone("the forked process ended at once")
            self._pidfd = os.pidfd_open(self.pid)
            connection.setblocking(False)
        except OSError as error:
            connection.close()
            raise TemplateGone(str(error) or "the template does not answer") from error

    def begin(self, request: Request, descriptors: Mapping[int, int]) -> None:
        """Let it become what is asked, with these descriptors: {its number: ours}. Raises OSError when it has ended."""
        self._connection.settimeout(_BEGIN_SECONDS)
        try:
            send_request(self._connection, request, descriptors)
        finally:
            self._connection.setblocking(False)

    def poll(self) -> int | None:
        """Return how it ended (negative: by that signal; 255 when nobody can tell), None while it runs."""
        if self.returncode is None:
            self._listen()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            watched = [] if self._template_gone else [self._connection.fileno()]
            # once it has ended, the template's word is what is waited for
            select.select(watched, [], [], 0.5) if self._ended_at else select.select(
                [*watched, self._pidfd], [], [], left
            )
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to it, and to nobody who has its number later."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        """Take note of its end: its id may be another's from now on. One that runs goes on."""
        self._connection.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def _listen(self) -> None:
        if not self._template_gone:
            try:
                frame = self._connection.recv(FRAME.size)
            except BlockingIOError:
                frame = None
            except OSError:
                frame = b""
            if frame and FRAME.unpack(frame)[0] == STATUS:
                self.returncode = FRAME.unpack(frame)[1]
                return
            self._template_gone = frame == b""
        if self._pidfd >= 0 and select.select([self._pidfd], [], [], 0)[0]:
            self._ended_at = self._ended_at or time.monotonic()
            # the template tells it in the same moment, unless it is gone or stands still
            if self._template_gone or time.monotonic() - self._ended_at > _TOLD_SECONDS:
                self.returncode = _UNKNOWN


class OwnedTemplate:
    """One template. Forks may be asked for from any thread, and from any process that has inherited the descriptor."""

    def __init__(self, control: socket.socket, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """`process` is None when another process has started it, and ends it."""
        self.control = control
        self.process = process

    @classmethod
    def start(cls, name: str, idle_seconds: float = 0, errors: Path | None = None) -> "OwnedTemplate":
        """Start one that imports this set. Returns at once: forks wait for the imports. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as stack:
            stack.callback(theirs.close)
            log = stack.enter_context(errors.open("ab")) if errors else subprocess.DEVNULL
            try:
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-I", "-m", "model_server.template"),
                        *(str(theirs.fileno()), name, str(idle_seconds)),
                    ],
                    env={**VARIABLES, **{name: os.environ[name] for name in ("TMPDIR",) if name in os.environ}},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        return cls(ours, process)

    def alive(self) -> bool:
        """Whether it runs; for one that another process has started, whether its end is open, as far as is known."""
        return self.process is None or self.process.poll() is None

    def fork(self, patience_seconds: float = _START_SECONDS) -> ForkedProcess:
        """Return a process that waits for what to begin. Raises TemplateGone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            socket.send_fds(self.control, [b"f"], [theirs.fileno()], socket.MSG_NOSIGNAL)
        except OSError as error:
            ours.close()
            raise TemplateGone(str(error)) from error
        finally:
            theirs.close()
        return ForkedProcess(ours, patience_seconds)

    def close(self) -> None:
        """Close our end. One that we have started ends, now; what was forked goes on."""
        self.control.close()
        if self.process is not None:
            try:
                self.process.wait(_STOP_SECONDS if self.process.poll() is None else 0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
