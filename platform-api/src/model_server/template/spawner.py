"""Starts programs of the model server: forked from a template where that gives the same, else with an interpreter of their own."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from model_server.sandbox.environment import NUMERICAL
from model_server.template.messages import Request, request_of
from model_server.template.owner import ForkedProcess, OwnedTemplate, TemplateGone, possible
from model_server.template.preload import EVERYTHING, VARIABLES

# a template that does not come up is not tried at every start
_AGAIN_SECONDS = 60.0
# read while libraries are loaded, which a template has done already
_READ_AT_IMPORT = NUMERICAL - {"LOG_LEVEL", "TZ", "LOKY_MAX_CPU_COUNT"}


Started = ForkedProcess | subprocess.Popen[bytes]


class Spawner:
    """One template, started when it is first wanted and again when it is gone. Safe for threads; use as a context or `close` it."""

    def __init__(
        self,
        name: str = EVERYTHING,
        *,
        idle_seconds: float = 0,
        inherited: OwnedTemplate | None = None,
        errors: Path | None = None,
    ) -> None:
        """`name`: the set to import. `inherited`: one that the process has that started this one; used while it lives."""
        self._name = name
        self._idle_seconds = idle_seconds
        self._errors = errors
        self._template = inherited
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the template that this one has started; None when it has none."""
        template = self._template
        return (
            template.process.pid if template is not None and template.process is not None and template.alive() else None
        )

    def warm_up(self) -> OwnedTemplate | None:
        """Start the template unless it runs; its imports go on beside what the caller does. None where there can be none."""
        with self._lock:
            if self._template is not None and not self._template.alive():
                self._drop(self._template)
            if self._template is None and not self._closed and possible() and time.monotonic() >= self._not_before:
                try:
                    self._template = OwnedTemplate.start(self._name, self._idle_seconds, self._errors)
                except OSError:
                    self._not_before = time.monotonic() + _AGAIN_SECONDS
            return self._template

    def lent(self) -> int | None:
        """Return a descriptor for another process, which asks the same template; it is the caller's to close."""
        template = self.warm_up()
        with self._lock:
            return os.dup(template.control.fileno()) if template is not None and template is self._template else None

    def fork(self) -> ForkedProcess | None:
        """Return a process that waits for `begin`; None where there is no template: start an interpreter then."""
        for last in (False, True):
            template = self.warm_up()
            if template is None:
                return None
            try:
                return template.fork()
            except TemplateGone:
                with self._lock:
                    if self._template is template:
                        self._drop(template)
                        if last:
                            self._not_before = time.monotonic() + _AGAIN_SECONDS
        return None

    def spawn(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        output: int = subprocess.DEVNULL,
        errors: int = subprocess.DEVNULL,
        keep: Sequence[int] = (),
    ) -> Started:
        """Start the command as the leader of its own session, with these descriptors beside the standard ones. Raises OSError."""
        request = forkable(argv, environment, folder)
        forked = self.fork() if request is not None else None
        if request is None or forked is None:
            return subprocess.Popen(
                list(argv),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                pass_fds=keep,
                start_new_session=True,
            )
        with open(os.devnull, "r+b", buffering=0) as nothing:  # noqa: PTH123 - a descriptor is wanted
            standard = [nothing.fileno() if each == subprocess.DEVNULL else each for each in (output, errors)]
            descriptors = {0: nothing.fileno(), 1: standard[0], 2: standard[1], **{number: number for number in keep}}
            try:
                forked.begin(request, descriptors)
            except OSError:
                forked.close()
                raise
        return forked

    def close(self) -> None:
        """End the template; what was forked goes on."""
        with self._lock:
            self._closed = True
            if self._template is not None:
                self._drop(self._template)

    def _drop(self, template: OwnedTemplate) -> None:
        self._template = None
        template.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def forkable(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> Request | None:
    """Return the request that gives the same process; None when only an interpreter of its own does.

    A model that sets how its libraries compute has one: those settings are read while the libraries are loaded.
    """
    if any(environment[name] != VARIABLES.get(name) for name in environment.keys() & _READ_AT_IMPORT):
        return None
    return request_of(list(argv), environment, str(folder), sys.executable)


_here: dict[int, Spawner] = {}


def spawner() -> Spawner:
    """Return this process's own: its template starts at the first use and ends with the process."""
    if os.getpid() not in _here:
        # of a parent that has forked this process: its template is not ours to end
        _here.clear()
        made = _here[os.getpid()] = Spawner(EVERYTHING, idle_seconds=_AGAIN_SECONDS * 5)
        atexit.register(made.close)
    return _here[os.getpid()]


def end(child: Started) -> None:
    """Kill a process that was spawned, with all of its session, and take note of its end."""
    with contextlib.suppress(ProcessLookupError):  # the group may be empty already
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if isinstance(child, ForkedProcess):
        child.close()
