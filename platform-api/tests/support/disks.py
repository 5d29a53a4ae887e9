"""Small disks that can be filled to the last byte. Needs root on Linux."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """A file system of its own, mounted at `folder`."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room until the block ends."""
        filling = self.folder / "filling"
        with filling.open("wb", buffering=0) as stream:
            for size in (65_536, 512, 1):
                try:
                    while stream.write(b"\0" * size):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        try:
            yield
        finally:
            filling.unlink()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """Mount a file system of this size, such as `2m`, at a new folder; take it away at the end, whoever still uses it."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
