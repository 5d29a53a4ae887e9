"""Ends every process group when the supervisor dies without saying goodbye: `python -I -S watchdog.py` with a pipe on stdin.

Lines on the pipe: `+ PGID SIGNAL STAGE` (a group lives; stop it with this signal, lower stages first), `- PGID` (gone),
`bye` (the supervisor stopped everything itself). End of file without `bye` means kill -9. A pipe works on every Unix, and
the kernel closes it however the supervisor ends. Standard library only, so that it is tiny and starts at once.
"""

import os
import signal
import sys
import time

_PATIENCE_SECONDS = 8.0


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _send(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def end(groups: dict[int, tuple[int, int]]) -> None:
    """Stop all groups, stage by stage; kill what is still there after a while."""
    for stage in sorted({stage for _, stage in groups.values()}):
        members = {group: number for group, (number, at) in groups.items() if at == stage}
        for group, number in members.items():
            _send(group, number)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(_alive(group) for group in members) and time.monotonic() < deadline:
            time.sleep(0.05)
        for group in members:
            _send(group, signal.SIGKILL)


def main() -> None:
    """Read the pipe until it ends."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", group, number, stage]:
                groups[int(group)] = (int(number), int(stage))
            case ["-", group]:
                groups.pop(int(group), None)
            case ["bye"]:
                return
    end(groups)


if __name__ == "__main__":
    main()
