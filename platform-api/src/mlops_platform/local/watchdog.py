"""A program that leaves no orphans. Run by the path of this file with `python -I -S`; standard library only, so that it is
small and starts at once.

`watch SECONDS` is the watchdog of a supervisor, which holds the other end of its standard input. Lines: `+ PGID SIGNAL
STAGE` (a process group lives; end it with this signal, lower stages first), `- PGID` (gone), `bye` (the supervisor ended
everything itself), `end` (end what is left now). End of file without these means that the supervisor was killed: the groups go
on for so many seconds, in which a successor may take them over and dismiss this watchdog (SIGUSR1); then the watchdog ends every
group, at once on SIGUSR2. A pipe works on every Unix, and the kernel closes it however the supervisor ends.

`exec FD PROGRAM ARGUMENTS...` becomes the program once the watchdog knows its group. Between the fork and that moment a killed
supervisor would leave an orphan; so the new process waits for one byte, and end of file ends it.
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
    """End all groups, stage by stage; kill what is still there after a while."""
    for stage in sorted({stage for _, stage in groups.values()}):
        members = {group: number for group, (number, at) in groups.items() if at == stage}
        for group, number in members.items():
            _send(group, number)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(_alive(group) for group in members) and time.monotonic() < deadline:
            time.sleep(0.05)
        for group in members:
            _send(group, signal.SIGKILL)


def watch(patience_seconds: float) -> None:
    """Read the pipe until it ends, give a successor its time, then end what is left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    hurried = []
    # the successor watches the groups before it sends this
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
    signal.signal(signal.SIGUSR2, lambda *_: hurried.append(True))
    groups: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", group, number, stage]:
                groups[int(group)] = (int(number), int(stage))
            case ["-", group]:
                groups.pop(int(group), None)
            case ["bye"]:
                return
            case ["end"]:
                hurried.append(True)
                break
    deadline = time.monotonic() + patience_seconds
    while not hurried and time.monotonic() < deadline and any(_alive(group) for group in groups):
        time.sleep(0.1)
    end(groups)


def become(ready: int, program: list[str]) -> None:
    """Wait for the byte that says the watchdog knows this process, then exec the program."""
    if os.read(ready, 1) != b"g":
        os._exit(1)
    os.close(ready)
    try:
        os.execvp(program[0], program)  # noqa: S606 - the argument list is the supervisor's own
    except OSError as error:
        sys.stderr.write(f"{program[0]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        # as a shell does
        os._exit(127)


if __name__ == "__main__":
    if sys.argv[1:2] == ["exec"]:
        become(int(sys.argv[2]), sys.argv[3:])
    else:
        watch(float(sys.argv[2]))
