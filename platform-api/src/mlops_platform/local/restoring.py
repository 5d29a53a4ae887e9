"""Bringing a home back from a backup: its files, its database at a moment, and what its audit log has lost since.

A home is written only when it is empty, or with `replace`, which keeps what was there in a folder of its own. A restore that
dies is begun again by the same command; until it is finished nothing starts in that home.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_platform.backup.manifest import FileEntry, Manifest, NoSuchMoment
from mlops_platform.backup.reading import Reader
from mlops_platform.kit.clock import now
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.local.postgres_archive import log_folder, recover
from mlops_platform.local.state import replace_text

_OURS = frozenset({"run", "restoring.json", ".DS_Store", "lost+found"})


class HomeInUse(Exception):
    """The home holds something that must not be overwritten; the sentence says what to do."""


@dataclass(frozen=True)
class Restored:
    """What a restore came to."""

    manifest: Manifest
    moment: datetime
    written: int
    kept: int
    set_aside: Path | None


def restore(
    home: Home,
    reader: Reader,
    backup_id: str,
    *,
    at: datetime | None = None,
    replace: bool = False,
    after: Callable[[EmbeddedPostgres, Manifest], None] = lambda _server, _manifest: None,
    report: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore a backup, or its state at an earlier moment, into a home. `after` works with the database, running.

    Raises HomeInUse, AlreadyRunning, NoSuchMoment, NotABackup, WrongKey, PostgresFailed and BackupStoreUnavailable.
    """
    manifest = reader.manifest(backup_id)
    if at is not None and at > manifest.database.at:
        raise NoSuchMoment(
            f"backup {backup_id} reaches {manifest.database.at:%Y-%m-%dT%H:%M:%S%z}, not {at:%Y-%m-%dT%H:%M:%S%z}"
        )
    base = manifest.base_for(at)
    set_aside = _make_room(home, backup_id, replace=replace)
    with home.locked():
        replace_text(home.restoring, json.dumps({"backup": backup_id, "at": at.isoformat() if at else None}))
        report("keys")
        reader.write_secrets(manifest, home.folder)
        report("files")
        written = sum(reader.write(entry, home.folder) for entry in manifest.files)
        report("the database")
        postgres = home.folder / "postgres"
        # a recovery that was cut off cannot be gone on with: its files are written again
        for folder in (postgres / "data", log_folder(postgres)):
            shutil.rmtree(folder, ignore_errors=True)
        _write_all(reader, base.files, postgres / "data")
        _write_all(reader, _needed(manifest, base.first_segment), log_folder(postgres))
        server = recover(postgres, point=None if at else manifest.database.name, at=at)
        try:
            after(server, manifest)
        finally:
            server.stop()
        home.restoring.unlink()
    moment = at or manifest.database.at
    return Restored(manifest, moment, written, len(manifest.files) - written, set_aside)


def _write_all(reader: Reader, entries: tuple[FileEntry, ...], root: Path) -> None:
    for entry in entries:
        reader.write(entry, root)


def _needed(manifest: Manifest, first_segment: str) -> tuple[FileEntry, ...]:
    return tuple(entry for entry in manifest.database.wal if entry.path >= first_segment)


def _make_room(home: Home, backup_id: str, *, replace: bool) -> Path | None:
    """Return where what was in the home has been put, None when there was nothing. Raises HomeInUse."""
    if home.held():
        raise HomeInUse(f"a platform runs in {home.folder}; stop it first with `mlops down --home {home.folder}`")
    there = [path for path in home.folder.iterdir() if path.name not in _OURS] if home.folder.exists() else []
    if home.restoring.exists():
        begun = json.loads(home.restoring.read_text())["backup"]
        if begun == backup_id or replace:
            # what that restore wrote is compared file by file, and what is whole is kept
            return None
        raise HomeInUse(
            f"a restore of {begun} into {home.folder} was not finished; finish it with --backup {begun}, or give --replace"
        )
    if not there:
        return None
    if not replace:
        raise HomeInUse(
            f"{home.folder} is not empty; restore into another home (--home), or give --replace: what is there is then kept "
            "beside it, in a folder of its own"
        )
    aside = home.folder / f"replaced-{now():%Y%m%dT%H%M%SZ}"
    aside.mkdir(mode=0o700)
    for path in there:
        if not path.name.startswith("replaced-"):
            path.rename(aside / path.name)
    return aside
