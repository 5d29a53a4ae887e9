"""Processes that outlived their supervisor: which they are, and how they end when nobody takes them over."""

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress

from mlops_platform.local.state import ChildState, same_process


def alive(recorded: Collection[ChildState]) -> list[ChildState]:
    """Return those that are still the same living processes."""
    return [child for child in recorded if same_process(child.pid, child.created)]


def end(recorded: Collection[ChildState], patience_seconds: float = 20) -> list[str]:
    """Kill the processes that still live when patience ends; return their names.

    A watchdog may be ending them meanwhile. A later process with the same number is never touched.
    """
    deadline = time.monotonic() + patience_seconds
    while (left := alive(recorded)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for child in left:
        assert child.pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    return [child.name for child in left]
