"""Limits of a model process: memory, processor time, threads, files, sizes."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from model_server.sandbox.protections import Missing


@dataclass(frozen=True)
class Limits:
    """What a process may use: address space in bytes, processor seconds (None: no end), seconds on the clock for a build."""

    memory_bytes: int = 4 << 30
    cpu_seconds: int | None = 120
    timeout_seconds: float = 180.0
    file_bytes: int = 1 << 30
    files: int = 1_024
    threads: int = 256


# a served model answers for weeks; it writes its log and its libraries' small notes
SERVING = Limits(memory_bytes=8 << 30, cpu_seconds=None, file_bytes=64 << 20)


def apply(limits: Limits, *, own_user: bool) -> list[Missing]:
    """Set the limits, for good. Returns what the system did not take."""
    missing = []
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_FSIZE, limits.file_bytes)
    _set(resource.RLIMIT_NOFILE, limits.files)
    if limits.cpu_seconds is not None:
        # the soft limit raises SIGXCPU, the hard one kills a process that ignores it
        _set(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 5)
    # counted by user: somebody else's threads would count against a model that shares its user
    others = 0 if own_user else _threads_of_this_user()
    _set(resource.RLIMIT_NPROC, others + limits.threads)
    try:
        _set(resource.RLIMIT_AS, limits.memory_bytes)
    except (ValueError, OSError):
        missing.append(Missing("memory", "the system does not limit address space"))
    return missing


def _set(kind: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; what is lower already stays."""
    allowed = resource.getrlimit(kind)[1]
    most = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        soft, most = min(soft, allowed), min(most, allowed)
    resource.setrlimit(kind, (soft, most))


def _threads_of_this_user() -> int:
    user, count = os.getuid(), 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == user:
                count += sum(1 for _ in (process / "task").iterdir())
        except OSError:
            # it ended while we looked
            continue
    return count
