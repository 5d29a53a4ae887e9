"""Key files that are made once, by whichever process is first, and never readable by anyone else."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def load_or_create(path: Path, create: Callable[[], bytes]) -> bytes:
    """Return the file's content; a missing file (0600, its folder 0700) is made by `create` first, atomically."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(create())
            stream.flush()
            os.fsync(stream.fileno())
        # link fails when another process was first; its key wins
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_bytes()
