"""A home comes back from its backups: as of the newest, as of a moment, and never half or from a changed one."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.backup.interfaces import BackupStoreUnavailable
from mlops_platform.backup.manifest import NoSuchMoment, NotABackup
from mlops_platform.backup.pruning import prune
from mlops_platform.backup.reading import Reader, backups, manifest_name
from mlops_platform.backup.sealing import Opener, WrongKey, new_identity
from mlops_platform.local.backing_up import AnotherBackup
from mlops_platform.local.backup_keys import KeyMissing, seal_for, signer
from mlops_platform.local.home import Home
from mlops_platform.local.restoring import HomeInUse

from .conftest import IDENTITY, RECIPIENT, SmallHome, bring_back, write


def files(home: Home) -> dict[str, bytes]:
    kinds = ("bundles", "artifacts", "predictions", "keys", "audit")
    found = [path for kind in kinds for path in (home.folder / kind).rglob("*") if path.is_file()]
    return {path.relative_to(home.folder).as_posix(): path.read_bytes() for path in found}


def test_everything_comes_back_elsewhere(small: SmallHome, tmp_path: Path) -> None:
    taken = small.back_up()
    expected = {path: content for path, content in files(small.home).items() if ".building" not in path}
    expected.pop("keys/token")
    back = bring_back(small, tmp_path / "elsewhere", taken.manifest.id)
    found = files(back.home)
    # the restore itself is an event, whose head is anchored
    assert found.pop("audit/heads.jsonl").startswith(expected.pop("audit/heads.jsonl"))
    assert found == expected
    assert all(path.stat().st_mode & 0o077 == 0 for path in (back.home.folder / "keys").iterdir())
    with sqlite3.connect(back.home.folder / "feast" / "data" / "online.db") as online:
        assert online.execute("SELECT value FROM features").fetchall() == [(7,)]
    assert back.events[0] == "first"
    assert back.audit.lost is None
    assert back.audit.verification is not None
    assert back.audit.verification.intact, back.audit.verification.problems
    assert not back.home.restoring.exists()


def test_the_second_backup_sends_what_is_new(small: SmallHome, tmp_path: Path) -> None:
    first = small.back_up()
    write(small.home, "artifacts/default/new.bin", os.urandom(1_000))
    second = small.back_up()
    assert not second.fresh_base
    names = {entry.path for entry in second.manifest.files} - {entry.path for entry in first.manifest.files}
    assert names == {"artifacts/default/new.bin"}
    kept = {entry.path: entry.chunks for entry in first.manifest.files}
    assert all(entry.chunks == kept[entry.path] for entry in second.manifest.files if entry.path in kept)


def test_an_earlier_moment_is_restored_and_what_is_lost_is_listed(small: SmallHome, tmp_path: Path) -> None:
    small.back_up()
    small.record("before")
    moment = datetime.now(UTC)
    small.record("after")
    small.record("after that")
    taken = small.back_up()
    back = bring_back(small, tmp_path / "earlier", taken.manifest.id, at=moment)
    assert back.events[-1] == "before"
    lost = back.audit.lost
    assert lost is not None
    assert (lost.first, lost.last) == (len(back.events) + 1, len(back.events) + 2)
    assert back.audit.verification is not None
    assert back.audit.verification.intact, back.audit.verification.problems
    assert list((back.home.folder / "audit").glob("heads.jsonl.*")), "the heads that prove the loss are kept"
    for moment in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)):
        with pytest.raises(NoSuchMoment):
            bring_back(small, tmp_path / "never", taken.manifest.id, at=moment)
    assert not (tmp_path / "never").exists()


def test_two_at_once_are_one(small: SmallHome, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()
    put = BackupFolder.put

    def slowly(self: BackupFolder, name: str, content: bytes) -> None:
        inside.set()
        go_on.wait(30)
        put(self, name, content)

    monkeypatch.setattr(BackupFolder, "put", slowly)
    first = threading.Thread(target=small.back_up)
    first.start()
    try:
        assert inside.wait(60)
        with pytest.raises(AnotherBackup):
            small.back_up()
    finally:
        go_on.set()
        first.join()


def test_a_backup_that_dies_is_none_and_the_next_one_goes_on(small: SmallHome, monkeypatch: pytest.MonkeyPatch) -> None:
    write(small.home, "artifacts/default/late.bin", os.urandom(1_000))
    before = [one.id for one in backups(small.place.store)]
    put = BackupFolder.put

    def until_the_manifest(self: BackupFolder, name: str, content: bytes) -> None:
        if name.endswith(".manifest"):
            raise BackupStoreUnavailable("The disk is gone.")
        put(self, name, content)

    monkeypatch.setattr(BackupFolder, "put", until_the_manifest)
    with pytest.raises(BackupStoreUnavailable):
        small.back_up()
    assert [one.id for one in backups(small.place.store)] == before
    sent: list[str] = []

    def counted(self: BackupFolder, name: str, content: bytes) -> None:
        sent.append(name)
        put(self, name, content)

    monkeypatch.setattr(BackupFolder, "put", counted)
    taken = small.back_up()
    late = next(entry for entry in taken.manifest.files if entry.path.endswith("late.bin"))
    assert late.chunks[0].blob not in sent, "what was sent is not sent again"


@pytest.mark.parametrize("what", ["objects", "keys", "backups"])
def test_a_changed_byte_is_refused(small: SmallHome, tmp_path: Path, what: str) -> None:
    taken = small.back_up()
    copy = tmp_path / "copy"
    shutil.copytree(small.backups, copy)
    chunk = next(entry for entry in taken.manifest.files if entry.path.startswith("bundles")).chunks[0]
    name = {"objects": chunk.blob, "keys": taken.manifest.secrets.path, "backups": manifest_name(taken.manifest.id)}
    path = copy / name[what]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    reader = Reader(BackupFolder(copy), Opener(IDENTITY), signer(small.home).fingerprint)
    with pytest.raises((NotABackup, WrongKey)):
        bring_back(small, tmp_path / "home", taken.manifest.id, reader)
    with pytest.raises((NotABackup, WrongKey)):
        reader.check(reader.manifest(taken.manifest.id))


def test_a_manifest_under_another_name_is_refused(small: SmallHome, tmp_path: Path) -> None:
    old, new = small.back_up(), small.back_up()
    copy = tmp_path / "copy"
    shutil.copytree(small.backups, copy)
    shutil.copy(copy / manifest_name(old.manifest.id), copy / manifest_name(new.manifest.id))
    reader = Reader(BackupFolder(copy), Opener(IDENTITY), signer(small.home).fingerprint)
    with pytest.raises(NotABackup, match="exchanged"):
        reader.manifest(new.manifest.id)


def test_a_part_that_is_missing_is_refused_and_the_restore_goes_on_when_it_is_back(
    small: SmallHome, tmp_path: Path
) -> None:
    taken = small.back_up()
    copy = tmp_path / "copy"
    shutil.copytree(small.backups, copy)
    blob = taken.manifest.database.bases[-1].files[0].chunks[0].blob
    (copy / blob).rename(tmp_path / "blob")
    reader = Reader(BackupFolder(copy), Opener(IDENTITY), signer(small.home).fingerprint)
    home = tmp_path / "home"
    with pytest.raises(NotABackup, match="missing"):
        bring_back(small, home, taken.manifest.id, reader)
    assert Home(home).restoring.exists()
    earlier = small.back_up()
    with pytest.raises(HomeInUse, match="was not finished"):
        bring_back(small, home, earlier.manifest.id)
    (tmp_path / "blob").rename(copy / blob)
    back = bring_back(small, home, taken.manifest.id, reader)
    assert back.restored.kept == len(taken.manifest.files), "what was written is not written again"
    assert not Home(home).restoring.exists()


def test_nothing_is_overwritten(small: SmallHome, tmp_path: Path) -> None:
    taken = small.back_up()
    home = Home(tmp_path / "home")
    write(home, "bundles/mine/bundle.json", b"mine")
    with pytest.raises(HomeInUse, match="not empty"):
        bring_back(small, home.folder, taken.manifest.id)
    assert files(home) == {"bundles/mine/bundle.json": b"mine"}
    with home.locked(), pytest.raises(HomeInUse, match="a platform runs"):
        bring_back(small, home.folder, taken.manifest.id, replace=True)
    back = bring_back(small, home.folder, taken.manifest.id, replace=True)
    assert back.restored.set_aside is not None
    assert (back.restored.set_aside / "bundles" / "mine" / "bundle.json").read_bytes() == b"mine"


def test_a_stranger_neither_reads_a_backup_nor_has_one_sealed_for_himself(small: SmallHome, tmp_path: Path) -> None:
    taken = small.back_up()
    theirs, recipient = new_identity()
    with pytest.raises(WrongKey):
        Reader(small.place.store, Opener(theirs), signer(small.home).fingerprint).manifest(taken.manifest.id)
    with pytest.raises(NotABackup, match="another key"):
        Reader(small.place.store, Opener(IDENTITY), "0" * 64).manifest(taken.manifest.id)
    with pytest.raises(KeyMissing, match="another recipient"):
        seal_for(small.home, str(small.backups), small.place.store, recipient, None)


def test_a_damaged_place_is_whole_again_after_a_full_backup(small: SmallHome, tmp_path: Path) -> None:
    taken = small.back_up()
    blob = small.backups / taken.manifest.files[0].chunks[0].blob
    blob.write_bytes(b"damaged")
    again = small.back_up(full=True)
    assert again.fresh_base
    assert small.reader.check(small.reader.manifest(again.manifest.id)) > 0


def test_old_backups_go_and_the_kept_ones_stay_whole(small: SmallHome, tmp_path: Path) -> None:
    write(small.home, "artifacts/default/short-lived.bin", os.urandom(1_000))
    old = small.back_up()
    (small.home.folder / "artifacts" / "default" / "short-lived.bin").unlink()
    kept = small.back_up()
    copy = tmp_path / "copy"
    shutil.copytree(small.backups, copy)
    store = BackupFolder(copy)
    removed, parts = prune(store, 1)
    assert old.manifest.id in removed
    assert parts > 0
    assert [one.id for one in backups(store)] == [kept.manifest.id]
    gone = next(entry for entry in old.manifest.files if entry.path.endswith("short-lived.bin"))
    assert store.get(gone.chunks[0].blob) is None
    assert small.reader.check(small.reader.manifest(kept.manifest.id)) > 0
    reader = Reader(store, Opener(IDENTITY), signer(small.home).fingerprint)
    assert reader.check(reader.manifest(kept.manifest.id)) > 0


def test_a_backup_whose_parts_were_removed_meanwhile_does_not_count(
    small: SmallHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = small.back_up()
    blob = next(entry for entry in taken.manifest.files if entry.path.startswith("bundles")).chunks[0].blob
    put = BackupFolder.put

    def removing(self: BackupFolder, name: str, content: bytes) -> None:
        if name.startswith("keys/"):
            self.remove(blob)
        put(self, name, content)

    monkeypatch.setattr(BackupFolder, "put", removing)
    before = len(backups(small.place.store))
    with pytest.raises(BackupStoreUnavailable, match="removed while it was taken"):
        small.back_up()
    assert len(backups(small.place.store)) == before
    monkeypatch.undo()
    again = small.back_up()
    assert small.reader.check(small.reader.manifest(again.manifest.id)) > 0


KILLED = """
import sys
from pathlib import Path
from tests.backup import conftest
from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
home, port, backups, where, conftest.RECIPIENT = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:]
put = BackupFolder.put
def reaching(self, name, content):
    if name.startswith(where):
        print("there", flush=True)
        sys.stdin.read()
    put(self, name, content)
BackupFolder.put = reaching
conftest.SmallHome(Home(home), EmbeddedPostgres(home / "postgres", port), backups).back_up(full=True)
"""


WHOLE = pytest.mark.whole("one of three points at which a backup is killed; the last one is in `make test`")


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", [pytest.param("objects/", marks=WHOLE), pytest.param("keys/", marks=WHOLE), "backups/"]
)
def test_a_killed_backup_leaves_the_last_one_and_the_next_one_works(
    small: SmallHome, tmp_path: Path, where: str
) -> None:
    small.back_up()
    before = [one.id for one in backups(small.place.store)]
    arguments: list[Any] = [small.home.folder, small.server.port, small.backups, where, RECIPIENT]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [one.id for one in backups(small.place.store)] == before
    taken = small.back_up()
    assert small.reader.check(small.reader.manifest(taken.manifest.id)) > 0
    back = bring_back(small, tmp_path / "home", taken.manifest.id)
    assert back.audit.verification is not None
    assert back.audit.verification.intact
