"""Stopping the platform of a home in order, from another process."""

import os
import signal
import time
from contextlib import suppress

from mlops_platform.local import state as states
from mlops_platform.local.home import Home

STOP_SECONDS = 45.0


class DidNotStop(Exception):
    """The supervisor is still there; `pid` is its number."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"the supervisor (pid {pid}) did not stop within {STOP_SECONDS:g} s")
        self.pid = pid


def stop(home: Home) -> float | None:
    """Stop what runs in a home; return the seconds it took, None when nothing runs. Raises DidNotStop."""
    state = states.read(home.run / "state.json")
    if not home.held() or state is None or state.supervisor_pid is None:
        return None
    began = time.monotonic()
    if states.same_process(state.supervisor_pid, state.supervisor_created):
        with suppress(ProcessLookupError):
            os.kill(state.supervisor_pid, signal.SIGTERM)
    # the lock is free a moment before the process is gone
    while home.held() or states.same_process(state.supervisor_pid, state.supervisor_created):
        if time.monotonic() - began > STOP_SECONDS:
            raise DidNotStop(state.supervisor_pid)
        time.sleep(0.1)
    return round(time.monotonic() - began, 1)
