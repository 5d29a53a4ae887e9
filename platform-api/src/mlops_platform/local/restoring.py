"""Bringing a home back from a backup: its files, its database at a moment, and what its audit log has lost since.

A home is written only when it is empty, or with `replace`, which keeps what was there in a folder of its own. A restore that
dies is begun again by the same command; until it is finished nothing starts in that home. Of two at once one is refused.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_platform.backup.manifest import FileEntry, Manifest, NoSuchMoment
from mlops_platform.backup.reading import Reader
from mlops_platform.kit.clock import now
from mlops_platform.local.home import AlreadyRunning, Home
from mlops_platform.local.postgres import EmbeddedPostgres, end_left_over
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

    Raises HomeInUse, NoSuchMoment, NotABackup, WrongKey, PostgresFailed and BackupStoreUnavailable.
    """
    manifest = reader.manifest(backup_id)
    if at is not None and at > manifest.database.at:
        raise NoSuchMoment(
            f"backup {backup_id} reaches {manifest.database.at:%Y-%m-%dT%H:%M:%S%z}, not {at:%Y-%m-%dT%H:%M:%S%z}"
        )
    base = manifest.base_for(at)
    # before the lock, which makes folders: what is refused is left as it is
    _refuse(home, backup_id, replace=replace)
    with _alone(home):
        set_aside = _make_room(home, backup_id, at, replace=replace)
        report("keys")
        reader.write_secrets(manifest, home.folder)
        report("files")
        written = sum(reader.write(entry, home.folder) for entry in manifest.files)
        report("the database")
        postgres = home.folder / "postgres"
        # a recovery that was cut off cannot be gone on with: its files are written again, when its server is gone
        end_left_over(postgres / "data")
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


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hold the home. Raises HomeInUse when somebody else does."""
    with ExitStack() as held:
        try:
            held.enter_context(home.locked())
        except AlreadyRunning as error:
            raise HomeInUse(_held_by_another(home)) from error
        yield


def _held_by_another(home: Home) -> str:
    if home.restoring.exists():
        return f"another restore into {home.folder} is under way; wait for it to end, then look at what it has brought back"
    return f"a platform runs in {home.folder}; stop it first with `mlops down --home {home.folder}`"


def _begun(home: Home) -> dict[str, Any] | None:
    return json.loads(home.restoring.read_text()) if home.restoring.exists() else None


def _there(home: Home) -> list[Path]:
    """What a restore would have to put aside: not the folders that every home is made with."""
    found = [path for path in home.folder.iterdir() if path.name not in _OURS] if home.folder.exists() else []
    return [path for path in found if path.is_symlink() or not path.is_dir() or any(path.iterdir())]


def _refuse(home: Home, backup_id: str, *, replace: bool) -> None:
    """Raise HomeInUse when nothing may be written here."""
    if home.held():
        raise HomeInUse(_held_by_another(home))
    begun = _begun(home)
    if begun is not None:
        if begun["backup"] != backup_id and not replace:
            raise HomeInUse(
                f"a restore of {begun['backup']} into {home.folder} was not finished; finish it with --backup "
                f"{begun['backup']}, or give --replace"
            )
    elif not replace and _there(home):
        raise HomeInUse(
            f"{home.folder} is not empty; restore into another home (--home), or give --replace: what is there is then kept "
            "beside it, in a folder of its own"
        )


def _make_room(home: Home, backup_id: str, at: datetime | None, *, replace: bool) -> Path | None:
    """Mark the home, put aside what is in it and return where, None when there was nothing. Raises HomeInUse.

    The mark comes first and says where things go: whoever finds it goes on with moving, and nothing of a home that was
    there is taken for a part of the backup.
    """
    begun = _begun(home)
    same = begun if begun is not None and begun["backup"] == backup_id else None
    if same is not None and same.get("moved", True):
        # what that restore wrote is compared file by file, and what is whole is kept
        return home.folder / same["aside"] if same.get("aside") else None
    if same is None:
        if not _there(home):
            _mark(home, backup_id, at, None, moved=True)
            return None
        if begun is None and not replace:
            raise HomeInUse(f"{home.folder} is not empty any more: somebody has written into it just now")
    aside = home.folder / (same["aside"] if same is not None else f"replaced-{now():%Y%m%dT%H%M%SZ}")
    _mark(home, backup_id, at, aside.name, moved=False)
    # a server that a killed restore has left must not write while its files are moved
    end_left_over(home.folder / "postgres" / "data")
    aside.mkdir(mode=0o700, exist_ok=True)
    for path in _there(home):
        if not path.name.startswith("replaced-"):
            path.rename(aside / path.name)
    _mark(home, backup_id, at, aside.name, moved=True)
    return aside


def _mark(home: Home, backup_id: str, at: datetime | None, aside: str | None, *, moved: bool) -> None:
    """Say in the home that a restore is under way, into which folder what was there goes, and whether it is all there."""
    told = {"backup": backup_id, "at": at.isoformat() if at else None, "aside": aside, "moved": moved}
    replace_text(home.restoring, json.dumps(told))
