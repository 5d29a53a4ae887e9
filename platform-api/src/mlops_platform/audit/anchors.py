"""The anchor file: every signed head, one a line, outside the database. Appended under a lock, never rewritten.

A head that is in the database and not here, and a line that cannot be read, are findings. Only two things are repaired, by
the worker: heads that a process committed and died before writing, and a last line that it died while writing.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from mlops_platform.audit.heads import SignedHead, parse_head
from mlops_platform.kit.canonical import canonical_bytes


class TornAnchor(OSError):
    """The last line was cut off while it was written; the worker's anchor job completes it before anything follows."""


@dataclass(frozen=True)
class Anchored:
    """What the file holds: heads in the order of the lines, numbers of unreadable lines, and a last line without its end.

    broken: why nothing at all could be read, when something is there that is no readable file.
    """

    heads: tuple[SignedHead, ...] = ()
    unreadable: tuple[int, ...] = ()
    torn: bytes = b""
    broken: str = ""

    @property
    def sizes(self) -> set[int]:
        """The sizes that are anchored, each once."""
        return {head.size for head in self.heads}


def head_line(head: SignedHead) -> bytes:
    """Return the line that anchors a head."""
    told = {"size": head.size, "root": head.root, "at": head.at.isoformat(), "signature": head.signature}
    return canonical_bytes(told) + b"\n"


def parse(content: bytes) -> Anchored:
    """Return what the bytes of an anchor file hold."""
    *lines, torn = content.split(b"\n")
    heads: list[SignedHead] = []
    unreadable = []
    for number, line in enumerate(lines, 1):
        try:
            heads.append(parse_head(orjson.loads(line)))
        except ValueError:
            unreadable.append(number)
    return Anchored(tuple(heads), tuple(unreadable), torn)


class AnchorFile:
    """The file as the platform's processes use it. Methods block; those that write may raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Anchored:
        """Return what the file holds; nothing when there is none. Between two appends, never in the middle of one.

        A folder, a pipe or a file without rights in its place is `broken`: somebody put it there, and a check must say so.
        """
        try:
            with self._locked(os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                return parse(_content(descriptor))
        except FileNotFoundError:
            return Anchored()
        except OSError as error:
            return Anchored(broken=error.strerror or type(error).__name__)

    def append(self, heads: list[SignedHead]) -> None:
        """Append heads and force them to disk: all of them or, when that fails, none. Raises TornAnchor."""
        with self._locked(os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as descriptor:
            end = os.fstat(descriptor).st_size
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                raise TornAnchor(f"the last line of {self.path} is incomplete")
            _write(descriptor, b"".join(map(head_line, heads)), end)

    def complete(self, known: Mapping[int, SignedHead]) -> SignedHead | None:
        """Complete a last line that was cut off while a known head was written; return that head, None when there is none.

        A last line that begins like no known head stays as it is: it is a finding.
        """
        if not self.path.exists():
            return None
        with self._locked(os.O_RDWR | os.O_APPEND, fcntl.LOCK_EX) as descriptor:
            content = _content(descriptor)
            found = parse(content)
            # after a power failure the file may be longer than what reached the disk: the rest reads as zeros
            begun = found.torn.rstrip(b"\0")
            fitting = [head for head in known.values() if head_line(head).startswith(begun)]
            if not found.torn or not fitting:
                return None
            head = min(fitting, key=lambda one: (one.size in found.sizes, one.size))
            start = len(content) - len(found.torn)
            os.ftruncate(descriptor, start)
            _write(descriptor, head_line(head), start)
            return head

    def replace(self, heads: list[SignedHead]) -> None:
        """Begin a new file with these heads; the old one is kept beside it, with a number behind its name."""
        if self.path.exists():
            number = 1
            while (old := self.path.with_name(f"{self.path.name}.{number}")).exists():
                number += 1
            self.path.rename(old)
        self.append(heads)

    @contextmanager
    def _locked(self, flags: int, how: int) -> Iterator[int]:
        if flags & os.O_CREAT:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # without O_NONBLOCK a pipe in its place would hold us for ever
        descriptor = os.open(self.path, flags | os.O_NONBLOCK, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(self.path))
            fcntl.flock(descriptor, how)
            yield descriptor
        finally:
            os.close(descriptor)


def _content(descriptor: int) -> bytes:
    parts = []
    offset = 0
    while part := os.pread(descriptor, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _write(descriptor: int, lines: bytes, end: int) -> None:
    try:
        written = 0
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fsync(descriptor)
    except OSError:
        # a full disk takes half a line: nobody must read it as tampering
        os.ftruncate(descriptor, end)
        raise
