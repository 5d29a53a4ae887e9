"""Taking a backup of a home while it serves: the database's moment first, then the files its rows name.

Every file but the manifest may be there without a backup being there; the manifest is written last. A run that dies is
gone on with by the next one, which finds what was sent.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg

from mlops_platform import __version__
from mlops_platform.backup import places
from mlops_platform.backup.interfaces import BackupStore, BackupStoreUnavailable
from mlops_platform.backup.manifest import (
    Base,
    DatabasePoint,
    FileEntry,
    Manifest,
    database_from_told,
)
from mlops_platform.backup.reading import index_name, manifest_name
from mlops_platform.backup.sealing import Seal, Signer
from mlops_platform.backup.writing import Writer
from mlops_platform.kit.clock import now
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.local.postgres_archive import DatabaseArchive, slot_name
from mlops_platform.local.state import replace_text

# a restore replays the log since a base: a day of it, or a gigabyte, is a minute or two
_BASE_EVERY = timedelta(days=1)
_MOST_SEGMENTS = 64
# settings that keep state outside the home
_ELSEWHERE = (
    "MLOPS_DATABASE_URL",
    "MLOPS_FEAST_REPO",
    "MLOPS_PREDICTION_TABLE_URI",
    "MLOPS_BUNDLE_URI",
    "MLOPS_AUDIT_ANCHOR_FILE",
)


class AnotherBackup(Exception):
    """A backup of this home is being taken."""


@dataclass(frozen=True)
class Place:
    """Where a backup goes: its name as people type it, the store, and the store of its keys."""

    name: str
    store: BackupStore
    secrets: BackupStore


@dataclass(frozen=True)
class Taken:
    """What a backup came to."""

    manifest: Manifest
    signed_by: str
    sent: int
    found: int
    fresh_base: bool


def back_up(
    home: Home,
    server: EmbeddedPostgres,
    place: Place,
    seal: Seal,
    signer: Signer,
    *,
    full: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Taken:
    """Take a backup. `full`: a new base, and every blob anew, for a place that was damaged.

    Raises AnotherBackup, PostgresFailed and BackupStoreUnavailable; after any of them the last backup is the last finished one.
    """
    spool = home.backup / slot_name(place.name)
    with _alone(home):
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        writer = Writer(place.store, seal, anew=full)
        archive = DatabaseArchive(server, spool, slot_name(place.name))
        taken_at = now()
        # sorted by name they are sorted by time: `prune` keeps the newest of two within one second too
        backup_id = f"{taken_at:%Y%m%dT%H%M%SZ}-{taken_at.microsecond:05x}{secrets.token_hex(2)[:3]}"
        before = _before(spool, writer.known)
        if archive.ensure_slot():
            before = None
        bases = before.bases if before else ()
        fresh = full or not bases or taken_at - bases[-1].ended_at > _BASE_EVERY or len(before.wal) > _MOST_SEGMENTS  # type: ignore[union-attr]  # bases come from it
        if fresh:
            report("copying the database")
            ended, first = archive.take_base()
            bases = (*bases[-1:], Base(backup_id, ended, first, _tree(writer, archive.base_folder)))
        point = archive.mark(f"mlops-{backup_id}")
        report("fetching the database's log")
        names = archive.fetch_log(point)
        log = {entry.path: entry for entry in (before.wal if before else ())} | _log(writer, archive.log_folder, names)
        wal = tuple(log[path] for path in sorted(log))
        report("copying files")
        files, left_out = _files(writer, home)
        manifest = Manifest(
            id=backup_id,
            taken_at=taken_at,
            version=__version__,
            schema=_schema(server),
            database=DatabasePoint(point.name, point.lsn, point.at, bases, _since(wal, bases)),
            files=files,
            secrets=writer.secrets(
                home.folder, places.secret_paths(home.folder), place.secrets, f"keys/{backup_id}.age"
            ),
            left_out=left_out,
            elsewhere=tuple(name for name in _ELSEWHERE if os.environ.get(name)),
        )
        _all_there(place.store, manifest)
        place.store.put(index_name(backup_id), orjson.dumps(sorted(manifest.blobs())))
        place.store.put(manifest_name(backup_id), seal.close(signer.envelope(manifest)))
        _remember(spool, manifest)
        archive.forget_log(names)
        shutil.rmtree(archive.base_folder, ignore_errors=True)
    return Taken(manifest, signer.fingerprint, writer.sent, writer.found, fresh)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(home.backup / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AnotherBackup(f"a backup of {home.folder} is being taken") from error
        yield
    finally:
        os.close(descriptor)


def _files(writer: Writer, home: Home) -> tuple[tuple[FileEntry, ...], tuple[str, ...]]:
    entries, left_out = [], []
    for path, plain in places.data_paths(home.folder):
        if not plain:
            left_out.append(f"{path}: no plain file")
            continue
        try:
            entries.append(writer.file(home.folder, path))
        except FileNotFoundError:
            # moved into the table of predictions, or deleted by somebody, since the folder was listed
            continue
    return tuple(entries), tuple(left_out)


def _tree(writer: Writer, folder: Path) -> tuple[FileEntry, ...]:
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    # empty folders that PostgreSQL needs are made again by `restoring.py`
    return tuple(writer.file(folder, path) for path in found)


def _log(writer: Writer, folder: Path, names: list[str]) -> dict[str, FileEntry]:
    found = {}
    for name in names:
        entry = writer.file(folder, name)
        # the segment that is being filled is kept as it is: recovery reads as far as the point
        path = name.removesuffix(".partial")
        found[path] = FileEntry(path, entry.mode, entry.size, entry.sha256, entry.chunks)
    return found


def _since(wal: tuple[FileEntry, ...], bases: tuple[Base, ...]) -> tuple[FileEntry, ...]:
    """Return the segments that the bases need: none is needed from before the oldest one began."""
    first = min((base.first_segment for base in bases), default="")
    return tuple(entry for entry in wal if entry.path.endswith(".history") or entry.path >= first)


def _schema(server: EmbeddedPostgres) -> str:
    with psycopg.connect(server.url("mlops", "postgresql")) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return ""
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def _all_there(store: BackupStore, manifest: Manifest) -> None:
    """Raise BackupStoreUnavailable when somebody removed parts meanwhile that were there when the run began."""
    needed = {blob for blob in manifest.blobs() if blob.startswith("objects/")}
    if missing := len(needed - store.names("objects/")):
        raise BackupStoreUnavailable(
            f"{missing} parts of the backup were removed while it was taken; it does not count."
        )


def _before(spool: Path, known: frozenset[str]) -> DatabasePoint | None:
    """Return the database's part of the last backup to this place, None when it cannot be continued."""
    try:
        told: Mapping[str, Any] = json.loads((spool / "last.json").read_text())
        found = database_from_told(told["database"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    needed = {chunk.blob for entry in found.entries() for chunk in entry.chunks}
    return found if needed <= known else None


def _remember(spool: Path, manifest: Manifest) -> None:
    told = {"id": manifest.id, "at": manifest.database.at.isoformat(), "database": asdict(manifest.database)}
    replace_text(spool / "last.json", orjson.dumps(told).decode())
