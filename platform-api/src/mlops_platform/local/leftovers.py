"""Processes of an earlier run that are still there: waited for, then ended, before a new run starts."""

import os
import signal
import time
from contextlib import suppress

from mlops_platform.local import state as states


def alive(state: states.PlatformState) -> list[states.ChildState]:
    """Return the children of that run which are still the same living processes."""
    return [child for child in state.children.values() if states.same_process(child.pid, child.created)]


def end(state: states.PlatformState | None, patience_seconds: float = 20) -> list[str]:
    """Wait for the watchdog of a killed run to finish, then kill what it left; return the names of those killed."""
    if state is None:
        return []
    deadline = time.monotonic() + patience_seconds
    while (left := alive(state)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for child in left:
        assert child.pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    return [child.name for child in left]
