"""A file that a process touches while its event loop turns, and who supervises it looks at. A full disk has room for that."""

import contextlib
import time
from pathlib import Path


def beat(heartbeat: Path | None) -> None:
    """Touch the file, if there is to be one. A folder that is gone ends nothing: the silence is noticed."""
    if heartbeat is not None:
        with contextlib.suppress(OSError):
            heartbeat.touch(mode=0o600)


def heard(heartbeat: Path, since: float, fresh_seconds: float) -> bool:
    """Return whether the file was touched after `since` (Unix seconds) and within the last `fresh_seconds`. Raises OSError."""
    touched = heartbeat.stat().st_mtime
    return touched >= since and time.time() - touched < fresh_seconds
