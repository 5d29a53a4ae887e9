"""The advisories that the settings name, read once for each state of the file."""

import threading
from pathlib import Path

from mlops_platform.environment_locks.advisories import Advisories, load


class KnownAdvisories:
    """Reads the source when it is asked for and has changed since."""

    def __init__(self, source: Path | None) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], Advisories] | None = None

    def get(self) -> Advisories | None:
        """Return the records, None when no source is named. Blocks: seconds for all of PyPI's. Raises AdvisoriesUnreadable."""
        if self._source is None:
            return None
        # who comes second waits for what the first reads
        with self._lock:
            state = self._state(self._source)
            if self._read is None or self._read[0] != state:
                self._read = (state, load(self._source))
            return self._read[1]

    @staticmethod
    def _state(source: Path) -> tuple[int, int]:
        files = [source, *(sorted(source.iterdir()) if source.is_dir() else ())]
        known = [path.stat() for path in files if path.exists()]
        return sum(each.st_size for each in known), max((each.st_mtime_ns for each in known), default=0)
