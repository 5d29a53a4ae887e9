"""The files of a bundle, read once: the bytes that were hashed are the bytes that are loaded."""

import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from pathlib import Path

from model_server.refusals import Refused
from model_server.trust.statement import Statement

NATIVE = "native/"
_CHUNK = 1 << 20


class Files(ABC):
    """Where a bundle's content comes from."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return a file of the bundle, None when the bundle has none of this name."""

    @abstractmethod
    def check(self) -> None:
        """Raise Refused `digest_mismatch` when any file is not what it must be."""

    @abstractmethod
    def native(self) -> AbstractContextManager[Path]:
        """Give the folder of the native model while it is loaded."""


class BuiltFiles(Files):
    """A bundle as its build left it, agreed to by nobody: for the build's own trial, and for tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def check(self) -> None:
        """Nothing was agreed to yet; the reader holds the graph and the native files against bundle.json."""

    @contextmanager
    def native(self) -> Iterator[Path]:
        yield self.folder / NATIVE


class ApprovedFiles(Files):
    """The files a statement names. What it does not name does not exist; what differs is refused.

    Every method raises Refused `digest_mismatch`.
    """

    def __init__(self, folder: Path, statement: Statement) -> None:
        self.folder = folder
        self.statement = statement

    def read(self, name: str) -> bytes | None:
        if (wanted := self.statement.files.get(name)) is None:
            return None
        with _opened(self.folder / name) as stream:
            content = stream.read()
        if hashlib.sha256(content).hexdigest() != wanted:
            raise _differs(name)
        return content

    def check(self) -> None:
        """Hash every file once: one that is loaded later, or by another process, is refused now."""
        for name, wanted in self.statement.files.items():
            with _opened(self.folder / name) as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != wanted:
                    raise _differs(name)

    @contextmanager
    def native(self) -> Iterator[Path]:
        """Give a private copy, hashed while it is written: libraries open files by name, and more than once."""
        with tempfile.TemporaryDirectory(prefix="model-") as scratch:
            root = Path(scratch)
            for name, wanted in self.statement.files.items():
                if name.startswith(NATIVE):
                    _copy(self.folder / name, root / name, name, wanted)
            yield root / NATIVE


def _copy(source: Path, target: Path, name: str, wanted: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    hasher = hashlib.sha256()
    with _opened(source) as stream, target.open("xb") as copy:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
            copy.write(chunk)
    if hasher.hexdigest() != wanted:
        raise _differs(name)


def _opened(path: Path) -> BufferedReader:
    try:
        # no link is followed, and a pipe that somebody put there keeps nobody waiting
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _differs(path.name) from error
    return os.fdopen(descriptor, "rb")


def _differs(name: str) -> Refused:
    return Refused("digest_mismatch", f"'{name}' is not the file that was approved; the bundle was changed.")
