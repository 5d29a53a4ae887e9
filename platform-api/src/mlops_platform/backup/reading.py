"""Reading a place of backups: which there are, whose they are, and their files, each compared with its digest."""

import json
import os
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath

from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.backup.manifest import FileEntry, Manifest, NotABackup, is_id
from mlops_platform.backup.places import SECRET_FILES, SECRET_FOLDERS
from mlops_platform.backup.sealing import Opener, opened_envelope
from mlops_platform.kit.digests import file_sha256

IDENTITY = "identity.age"
_MANIFESTS = "backups/"


def manifest_name(backup_id: str) -> str:
    """Return the blob that makes a backup one."""
    return f"{_MANIFESTS}{backup_id}.manifest"


def index_name(backup_id: str) -> str:
    """Return the blob that names, unsealed, which blobs a backup needs: whoever removes old ones has no key."""
    return f"{_MANIFESTS}{backup_id}.index"


@dataclass(frozen=True)
class Listed:
    """A finished backup as anybody can see it: its id, and the moment in its id."""

    id: str
    at: datetime


def backups(store: BackupStore) -> list[Listed]:
    """Return the finished backups, oldest first; one without a manifest was not finished and is none."""
    found = []
    for name in sorted(store.names(_MANIFESTS)):
        backup_id, _, kind = name.removeprefix(_MANIFESTS).partition(".")
        if kind == "manifest" and is_id(backup_id):
            at = datetime.strptime(backup_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            found.append(Listed(backup_id, at))
    return found


class Reader:
    """Reads with an identity, and believes manifests of one signer only."""

    def __init__(self, store: BackupStore, opener: Opener, signed_by: str, secrets: BackupStore | None = None) -> None:
        """`secrets`: where the keys are kept, when it is another place."""
        self._store = store
        self._opener = opener
        self._signed_by = signed_by
        self._secrets = secrets or store

    def manifest(self, backup_id: str) -> Manifest:
        """Return a backup's manifest. Raises NotABackup and WrongKey."""
        sealed = self._store.get(manifest_name(backup_id))
        if sealed is None:
            raise NotABackup(f"there is no backup {backup_id}, or it was never finished")
        found = opened_envelope(self._opener.open(sealed), self._signed_by)
        if found.id != backup_id:
            raise NotABackup(f"the manifest of {backup_id} is that of {found.id}: somebody exchanged them")
        return found

    def write(self, entry: FileEntry, root: Path) -> bool:
        """Write a file below `root` unless it is there with these bytes already; return whether it was written.

        It appears whole or not at all. Raises NotABackup when a part is missing or was changed.
        """
        target = root / entry.path
        same_size = target.is_file() and not target.is_symlink() and target.stat().st_size == entry.size
        if same_size and file_sha256(target) == entry.sha256:
            return False
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = target.with_name(f".{target.name}.restoring")
        fresh.unlink(missing_ok=True)
        whole = sha256()
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, entry.mode | 0o600), "wb") as stream:
            for chunk in entry.chunks:
                content = self._opener.chunk(self._blob(self._store, chunk.blob), chunk)
                whole.update(content)
                stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if whole.hexdigest() != entry.sha256:
            fresh.unlink()
            raise NotABackup(f"'{entry.path}' is not what the manifest says")
        fresh.replace(target)
        return True

    def write_secrets(self, manifest: Manifest, home: Path) -> int:
        """Write the keys into a home (0600); return how many. Raises NotABackup and WrongKey."""
        (chunk,) = manifest.secrets.chunks
        told: dict[str, str] = json.loads(self._opener.chunk(self._blob(self._secrets, chunk.blob), chunk))
        for path, content in told.items():
            if path not in SECRET_FILES and not re.fullmatch(rf"({'|'.join(SECRET_FOLDERS)})/[\w.-]+", path):
                raise NotABackup("the blob of keys names a file that is no key")
            target = home / PurePosixPath(path)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = target.with_name(f".{target.name}.restoring")
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(b64decode(content))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(target)
        return len(told)

    def check(self, manifest: Manifest, seen: Callable[[FileEntry], None] = lambda _: None) -> int:
        """Read every blob of a backup and compare it with its digest; return how many. Raises NotABackup and WrongKey."""
        checked: set[str] = set()
        for entry in manifest.entries():
            for chunk in entry.chunks:
                if chunk.blob not in checked:
                    store = self._secrets if entry is manifest.secrets else self._store
                    self._opener.chunk(self._blob(store, chunk.blob), chunk)
                    checked.add(chunk.blob)
            seen(entry)
        return len(checked)

    @staticmethod
    def _blob(store: BackupStore, name: str) -> bytes:
        found = store.get(name)
        if found is None:
            raise NotABackup(f"a part of the backup is missing: {name}")
        return found
