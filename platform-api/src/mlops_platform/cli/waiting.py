"""Waiting for something the platform does, with a sign of life and an end."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import wants_json

T = TypeVar("T")
_PAUSE = 0.5
_SAY_EVERY = 10.0


def wait_for(
    look: Callable[[], T], done: Callable[[T], bool], timeout: float, what: Callable[[T], str], todo: str
) -> T:
    """Look until `done`; raises CommandFailed (5) after `timeout` seconds. `what` names what is waited for."""
    began = time.monotonic()
    said = began
    while True:
        seen = look()
        if done(seen):
            return seen
        waited = time.monotonic() - began
        if waited >= timeout:
            raise CommandFailed(Exit.WAITING, f"{what(seen)} has not happened within {timeout:g} s", todo)
        if time.monotonic() - said >= _SAY_EVERY and not wants_json():
            said = time.monotonic()
            sys.stderr.write(f"  waiting for {what(seen)} ({waited:.0f} s)\n")
            sys.stderr.flush()
        time.sleep(min(_PAUSE, timeout - waited))
