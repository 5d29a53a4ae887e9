"""Run the part of the build that touches a model's bytes in a process that can do little harm.

Own session, clean environment, limits on memory, processor time and file size, a deadline, and on Linux own network,
process and user namespaces where the kernel permits. It reports through a pipe; whatever it does, the caller goes on.
"""

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# More than any report of ours; a child that writes more is not telling us about a build.
_MAX_EVENTS_BYTES = 16 << 20
_MAX_FILE_BYTES = 4 << 30
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000


@dataclass(frozen=True)
class Limits:
    """What a build may use: address space in bytes, processor seconds, seconds on the clock."""

    memory_bytes: int = 4 << 30
    cpu_seconds: int = 120
    timeout_seconds: float = 180.0


@dataclass
class Outcome:
    """What the child said and how it ended; `ended` is ok, timeout, cpu_time_exceeded or crashed."""

    events: list[dict[str, Any]] = field(default_factory=list)
    ended: str = "crashed"
    detail: str = ""


def run_isolated(request: dict[str, Any], scratch: Path, limits: Limits) -> Outcome:
    """Run model_server.build.worker on the request and collect its events. Never raises for what the child does."""
    (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
    reading, writing = os.pipe()
    with (scratch / "output.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-I", "-m", "model_server.build.worker", str(scratch / "request.json"), str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=scratch,
            env=_clean_environment(scratch),
            pass_fds=(writing,),
            start_new_session=True,
        )
    os.close(writing)
    try:
        content, in_time = _read_until(reading, time.monotonic() + limits.timeout_seconds)
        status = _end(child, wait=in_time)
    finally:
        os.close(reading)
        _end(child, wait=False)
    return Outcome(_events(content), _how_it_ended(status, in_time=in_time), _last_line(scratch / "output.log"))


def enter_isolation(limits: dict[str, float]) -> list[str]:
    """Called first in the child: set limits, leave the network. Returns what the system did not permit."""
    memory, cpu = int(limits["memory_bytes"]), int(limits["cpu_seconds"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    # The soft limit raises SIGXCPU, the hard one kills a process that ignores it.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    not_permitted = []
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    except (ValueError, OSError):
        # macOS does not limit address space.
        not_permitted.append("memory limit")
    if not _leave_network():
        not_permitted.append("network namespace")
    return not_permitted


def _leave_network() -> bool:
    """Move into an empty network namespace; the user namespace also ends the right to trace other processes."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags | _CLONE_NEWNET | _CLONE_NEWIPC) == 0 for flags in (_CLONE_NEWUSER, 0))


def _clean_environment(scratch: Path) -> dict[str, str]:
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
        **single,
    }


def _read_until(reading: int, deadline: float) -> tuple[bytes, bool]:
    """Read the pipe to its end; the second value is False when the deadline or the size limit came first."""
    content = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while (remaining := deadline - time.monotonic()) > 0:
            if not selector.select(remaining):
                continue
            chunk = os.read(reading, 1 << 16)
            if not chunk:
                return bytes(content), True
            content += chunk
            if len(content) > _MAX_EVENTS_BYTES:
                break
    return bytes(content), False


def _end(child: "subprocess.Popen[bytes]", *, wait: bool) -> int:
    """Give the child a moment when it has closed its pipe, then kill its whole group; return its status."""
    if wait:
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            wait = False
    with contextlib.suppress(ProcessLookupError):  # the group may be empty already
        os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _how_it_ended(status: int, *, in_time: bool) -> str:
    if not in_time:
        return "timeout"
    if status in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        return "cpu_time_exceeded"
    return "ok" if status == 0 else "crashed"


def _events(content: bytes) -> list[dict[str, Any]]:
    events = []
    for line in content.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            break  # cut off in the middle of a line
        if isinstance(event, dict):
            events.append(event)
    return events


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - 4096))
        lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
