"""What a backup says of itself: every file with its digest, and the moment of the database. Pure: values in, values out.

A manifest is written last and signed: without one there is no backup, and none is taken for another.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from mlops_platform.kit.canonical import canonical_bytes

FORMAT = 1
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


class NotABackup(Exception):
    """What was read is no backup, or not an unchanged one; the sentence says what does not hold."""


class NoSuchMoment(Exception):
    """No backup reaches the moment that was asked for; the sentence says which moments there are."""


@dataclass(frozen=True)
class Chunk:
    """A part of a file: the name of its blob, its SHA-256 (hex) before it was sealed, and its size in bytes."""

    blob: str
    sha256: str
    size: int


@dataclass(frozen=True)
class FileEntry:
    """One file: its place (relative, POSIX), mode, size in bytes, SHA-256 (hex) and parts."""

    path: str
    mode: int
    size: int
    sha256: str
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Base:
    """A base backup of PostgreSQL: its files, and when it was complete."""

    id: str
    ended_at: datetime
    first_segment: str
    """The segment of the log that recovery from this base begins with."""
    files: tuple[FileEntry, ...]


@dataclass(frozen=True)
class DatabasePoint:
    """The database at one moment: base backups, the write-ahead log since the oldest, and the named restore point."""

    name: str
    lsn: str
    at: datetime
    bases: tuple[Base, ...]
    wal: tuple[FileEntry, ...]

    def entries(self) -> Iterable[FileEntry]:
        """Return every file of the database."""
        yield from self.wal
        for base in self.bases:
            yield from base.files


@dataclass(frozen=True)
class Manifest:
    """One backup. `taken_at` is when it was begun, `version` the program that took it, `left_out` what it says it did not copy."""

    id: str
    taken_at: datetime
    version: str
    schema: str
    database: DatabasePoint
    files: tuple[FileEntry, ...]
    secrets: FileEntry
    left_out: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = field(default=())
    """Settings that keep state outside the home: it is not in this backup."""

    def blobs(self) -> set[str]:
        """Return the names of every blob this backup needs."""
        return {chunk.blob for entry in self.entries() for chunk in entry.chunks}

    def entries(self) -> Iterable[FileEntry]:
        """Return every file, those of the database and the secrets included."""
        yield from self.files
        yield from self.database.entries()
        yield self.secrets

    def base_for(self, at: datetime | None) -> Base:
        """Return the newest base that was complete at a moment (None: the backup's own). Raises NoSuchMoment."""
        fitting = [base for base in self.database.bases if base.ended_at <= (at or self.database.at)]
        if not fitting:
            raise NoSuchMoment(f"backup {self.id} cannot go back to before {self.earliest():%Y-%m-%dT%H:%M:%S%z}")
        return max(fitting, key=lambda base: base.ended_at)

    def earliest(self) -> datetime:
        """Return the earliest moment this backup can be restored to."""
        return min(base.ended_at for base in self.database.bases)


def is_id(text: str) -> bool:
    """Return whether a text is the id of a backup."""
    return _ID.fullmatch(text) is not None


def to_bytes(manifest: Manifest) -> bytes:
    """Return the bytes that are signed: the same for equal manifests."""
    return canonical_bytes({"format": FORMAT, **asdict(manifest)})


def from_told(told: Any) -> Manifest:
    """Return the manifest that a JSON object says. Raises NotABackup for anything else."""
    try:
        if told["format"] != FORMAT:
            raise NotABackup(f"the backup has the format {told['format']}; this program reads format {FORMAT}")
        found = Manifest(
            id=_identifier(told["id"]),
            taken_at=datetime.fromisoformat(told["taken_at"]),
            version=str(told["version"]),
            schema=str(told["schema"]),
            database=database_from_told(told["database"]),
            files=_files(told["files"]),
            secrets=_file(told["secrets"]),
            left_out=tuple(map(str, told["left_out"])),
            elsewhere=tuple(map(str, told["elsewhere"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotABackup("the manifest of the backup cannot be read") from error
    return found


def choose(points: Sequence[tuple[str, datetime]], backup_id: str | None, at: datetime | None) -> str:
    """Return the backup to restore: the one that was named, else the newest, or the first that reaches `at`.

    `points`: id and moment of every backup. Raises NoSuchMoment.
    """
    if not points:
        raise NoSuchMoment("there is no backup: one that was not finished does not count")
    if backup_id is not None:
        if backup_id not in {name for name, _ in points}:
            raise NoSuchMoment(f"there is no backup {backup_id}; there are {', '.join(sorted(n for n, _ in points))}")
        return backup_id
    ordered = sorted(points, key=lambda point: point[1])
    if at is None:
        return ordered[-1][0]
    reaching = [name for name, moment in ordered if moment >= at]
    if not reaching:
        raise NoSuchMoment(
            f"the newest backup reaches {ordered[-1][1]:%Y-%m-%dT%H:%M:%S%z}, not {at:%Y-%m-%dT%H:%M:%S%z}"
        )
    return reaching[0]


def _identifier(told: Any) -> str:
    if not isinstance(told, str) or not is_id(told):
        raise NotABackup("the id of the backup is none")
    return told


def database_from_told(told: Any) -> DatabasePoint:
    """Return the database's part that a JSON object says. Raises KeyError, TypeError, ValueError and NotABackup."""
    bases = tuple(
        Base(
            str(one["id"]),
            datetime.fromisoformat(one["ended_at"]),
            str(one["first_segment"]),
            _files(one["files"]),
        )
        for one in told["bases"]
    )
    if not bases:
        raise NotABackup("the backup holds no base of the database")
    at = datetime.fromisoformat(told["at"])
    return DatabasePoint(str(told["name"]), str(told["lsn"]), at, bases, _files(told["wal"]))


def _files(told: Any) -> tuple[FileEntry, ...]:
    found = tuple(_file(one) for one in told)
    if len({entry.path for entry in found}) != len(found):
        raise NotABackup("the manifest names one file twice")
    return found


def _file(told: Any) -> FileEntry:
    path = PurePosixPath(str(told["path"]))
    # a manifest is signed, and still no reason to write outside the home
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
        raise NotABackup("the manifest names a file outside the home")
    chunks = tuple(Chunk(str(one["blob"]), str(one["sha256"]), int(one["size"])) for one in told["chunks"])
    return FileEntry(path.as_posix(), int(told["mode"]) & 0o700, int(told["size"]), str(told["sha256"]), chunks)
