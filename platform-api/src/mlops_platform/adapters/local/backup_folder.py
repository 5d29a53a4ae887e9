"""Backups in a folder: a disk, a mounted share, a stick. Each blob is written beside its place and renamed into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_platform.backup.interfaces import BackupStore, BackupStoreUnavailable
from mlops_platform.kit.ids import new_id


class BackupFolder(BackupStore):
    """Blobs are files below the folder, 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()

    def put(self, name: str, content: bytes) -> None:
        path = self._folder / name
        with self._answering():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_name(f".{new_id()}.new")
            try:
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)

    def get(self, name: str) -> bytes | None:
        with self._answering():
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def names(self, prefix: str) -> set[str]:
        with self._answering():
            found = (path for path in (self._folder / prefix).rglob("*") if not path.name.startswith("."))
            return {path.relative_to(self._folder).as_posix() for path in found if path.is_file()}

    def remove(self, name: str) -> None:
        with self._answering():
            (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise BackupStoreUnavailable(f"The folder {self._folder} cannot be used: {why}.") from error
