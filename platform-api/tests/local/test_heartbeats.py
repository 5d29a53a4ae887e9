"""A heartbeat speaks for the process that is running, not for the one before it."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

from mlops_platform.local.readiness import beats


async def test_the_last_heartbeat_of_the_process_before_does_not_make_its_successor_ready(tmp_path: Path) -> None:
    """The system rounds when a process was created down to the second; the file was touched just before that process began."""
    heartbeat = tmp_path / "alive"
    heartbeat.touch()
    now = time.time()
    os.utime(heartbeat, (now - 0.2, now - 0.2))
    process = SimpleNamespace(created=now - 0.9, since=now)
    assert not await beats(heartbeat)(process)  # type: ignore[arg-type]
    os.utime(heartbeat, (now + 0.1, now + 0.1))
    assert await beats(heartbeat)(process)  # type: ignore[arg-type]
