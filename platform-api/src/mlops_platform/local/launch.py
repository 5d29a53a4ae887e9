"""Becomes the real process once the watchdog knows it: `python -I -S launch.py FD PROGRAM ARGUMENTS...`.

Between the birth of a process and the watchdog hearing of it, a killed supervisor would leave an orphan. So the newborn
waits here for one byte; end of file instead means that the supervisor died, and it ends too. Standard library only.
"""

import os
import sys


def main() -> None:
    """Wait for the go-ahead, then exec."""
    go = int(sys.argv[1])
    if os.read(go, 1) != b"g":
        os._exit(1)
    os.close(go)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the argument list is the supervisor's own


if __name__ == "__main__":
    main()
