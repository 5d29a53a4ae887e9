"""Run one process of a build, and collect what it says, whatever it does.

Forked from a template where there is one. Own session, clean environment, a deadline and a limit for what it writes to disk; the process confines itself before it
reads a model's bytes (build/child.py). It reports through a pipe.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from model_server.libraries.found import Libraries, program
from model_server.sandbox import environment, seatbelt
from model_server.sandbox.limits import Limits
from model_server.template.spawner import Spawner, Started, end, spawner

# More than any report of ours; a child that writes more is not telling us about a build.
_MAX_EVENTS_BYTES = 16 << 20
# one file is limited by the kernel; many are counted here, every so often
_MAX_DISK_BYTES, _MAX_DISK_FILES = 4 << 30, 10_000
_COUNT_SECONDS = 0.5


@dataclass
class Outcome:
    """What the child said and how it ended; `ended` is ok, timeout, cpu_time_exceeded, disk_exceeded,
    output_exceeded or crashed.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    ended: str = "crashed"
    detail: str = ""


def run_isolated(
    module: str,
    request: dict[str, Any],
    scratch: Path,
    limits: Limits,
    starter: Spawner | None = None,
    libraries: Libraries | None = None,
) -> Outcome:
    """Run the module on the request and collect its events. Never raises for what the child does.

    The request gets `scratch`, the one folder the child may write, and `limits`. `starter`: this process's own unless given.
    `libraries`: the model's own, with an interpreter of its own then; the platform's unless given.
    """
    described = {"memory_bytes": limits.memory_bytes, "cpu_seconds": limits.cpu_seconds}
    content = {**request, "scratch": str(scratch), "limits": described}
    (scratch / "request.json").write_text(json.dumps(content), encoding="utf-8")
    reading, writing = os.pipe()
    # ours, without a name: the child cannot put anything else in its place
    with tempfile.TemporaryFile() as log:
        try:
            child = (starter or spawner()).spawn(
                seatbelt.under(
                    [*program(module, libraries), str(scratch / "request.json"), str(writing)],
                    map(Path, request["readable"]),
                    scratch,
                    None,
                ),
                {"PATH": os.defpath, **environment.clean({}, scratch)},
                scratch,
                output=log.fileno(),
                errors=log.fileno(),
                keep=[writing],
            )
        finally:
            os.close(writing)
        try:
            said, stopped = _read_until(reading, time.monotonic() + limits.timeout_seconds, scratch)
            status = _end(child, wait=not stopped)
        finally:
            os.close(reading)
            end(child)
        return Outcome(_events(said), stopped or _how_it_ended(status), _last_line(log))


def _read_until(reading: int, deadline: float, scratch: Path) -> tuple[bytes, str]:
    """Read the pipe to its end; the second value says why that was not waited for: timeout, disk_exceeded,
    output_exceeded.
    """
    content = bytearray()
    counted = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while (remaining := deadline - time.monotonic()) > 0:
            if time.monotonic() - counted > _COUNT_SECONDS:
                if _fills_the_disk(scratch):
                    return bytes(content), "disk_exceeded"
                counted = time.monotonic()
            if not selector.select(min(remaining, _COUNT_SECONDS)):
                continue
            chunk = os.read(reading, 1 << 16)
            if not chunk:
                return bytes(content), ""
            content += chunk
            if len(content) > _MAX_EVENTS_BYTES:
                return bytes(content), "output_exceeded"
    return bytes(content), "timeout"


def _fills_the_disk(folder: Path) -> bool:
    files = size = 0
    for here, _, names in os.walk(folder):
        for name in names:
            files += 1
            # it may be gone by now
            with contextlib.suppress(FileNotFoundError):
                size += os.lstat(os.path.join(here, name)).st_blocks * 512  # noqa: PTH118 - many files, in the child's time
            if files > _MAX_DISK_FILES or size > _MAX_DISK_BYTES:
                return True
    return False


def _end(child: Started, *, wait: bool) -> int:
    """Give the child a moment when it has closed its pipe, then kill its whole group; return its status."""
    if wait:
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            wait = False
    with contextlib.suppress(ProcessLookupError):  # the group may be empty already
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _how_it_ended(status: int) -> str:
    if status in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        return "cpu_time_exceeded"
    return "ok" if status == 0 else "crashed"


def _events(content: bytes) -> list[dict[str, Any]]:
    events = []
    for line in content.splitlines():
        try:
            event = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError):
            break  # cut off in the middle of a line
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
    return events


def _no_number(said: str) -> None:
    """NaN and infinities are no JSON: a report that holds them could not be written."""
    raise ValueError(said)


def _last_line(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, 2) - 4096))
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
