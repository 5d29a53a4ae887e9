"""The folder that holds all state of an embedded platform, and who is running in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# rotated at start: a platform left running for weeks keeps its last start's log and the one before
_LOG_LIMIT_BYTES = 5_000_000


class AlreadyRunning(RuntimeError):
    """Another supervisor holds this home."""


@dataclass(frozen=True)
class Home:
    """Paths below --home; private ones are 0700."""

    folder: Path

    @classmethod
    def at(cls, folder: Path | None) -> "Home":
        """Return the home at `folder`, else at MLOPS_HOME, else .mlops in the current folder. Creates nothing."""
        chosen = folder or Path(os.environ.get("MLOPS_HOME") or ".mlops")
        return cls(chosen.expanduser().absolute())

    @property
    def run(self) -> Path:
        """State of the running platform: state.json, events.jsonl, lock."""
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.folder / "logs"

    @property
    def token_file(self) -> Path:
        """The token `mlops token --save` keeps for later commands (0600)."""
        return self.folder / "keys" / "token"

    @property
    def scrape_token_file(self) -> Path:
        """The secret of those who read metrics: MLOPS_SCRAPE_TOKEN_FILE, else one of this home (0600)."""
        return Path(os.environ.get("MLOPS_SCRAPE_TOKEN_FILE") or self.folder / "keys" / "scrape.token").absolute()

    @property
    def statement_key_file(self) -> Path:
        """The key that signs statements of approval: MLOPS_STATEMENT_KEY_FILE, else one of this home. The worker's alone."""
        return Path(os.environ.get("MLOPS_STATEMENT_KEY_FILE") or self.folder / "signing" / "statements.pem").absolute()

    @property
    def scratch(self) -> Path:
        """Temporary files of processes that may not write where others lie."""
        return self.folder / "scratch"

    @property
    def backup(self) -> Path:
        """What is known of the last backup to each place, and what is fetched for the next."""
        return self.folder / "backup"

    @property
    def restoring(self) -> Path:
        """Names the backup that is being restored into this home; when nobody does, it was not finished."""
        return self.folder / "restoring.json"

    def create(self) -> None:
        """Create the folders that must exist before the first process starts. Safe to repeat."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (self.run, self.logs, self.folder / "keys", self.folder / "artifacts", self.folder / "runtime"):
            path.mkdir(exist_ok=True, mode=0o700)
        # what is made later beside the key of statements is read by nobody who is kept from it: local/apart.py
        for path in (self.folder / "bundles", self.folder / "environments"):
            path.mkdir(exist_ok=True)

    def log(self, name: str) -> Path:
        """Return the log file of one process."""
        return self.logs / f"{name}.log"

    def rotate_log(self, name: str) -> Path:
        """Move a log that grew too large aside (one older generation is kept) and return its path."""
        path = self.log(name)
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this home for one supervisor. The kernel releases it however the process ends. Raises AlreadyRunning."""
        self.create()
        descriptor = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, str(self.folder))
            yield
        finally:
            os.close(descriptor)

    def held(self) -> bool:
        """Return whether a supervisor is alive in this home."""
        if not (self.run / "lock").exists():
            return False
        descriptor = os.open(self.run / "lock", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def _lock(descriptor: int, folder: str) -> None:
    # a command that only asks (`held`) has the lock for microseconds: try again before believing it
    for attempt in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if attempt == 4:  # noqa: PLR2004 - the last attempt
                raise AlreadyRunning(folder) from error
            time.sleep(0.03)
        else:
            return
