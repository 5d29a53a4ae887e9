"""Removing old backups: nobody who does it needs a key, and a backup that is being taken loses nothing."""

from collections.abc import Iterable

import orjson

from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.backup.manifest import NotABackup
from mlops_platform.backup.reading import backups, index_name, manifest_name


def prune(store: BackupStore, keep: int) -> tuple[list[str], int]:
    """Remove all but the newest `keep` backups and the blobs that only they needed; return their ids, and how many blobs.

    Manifests go first: a run that dies leaves no backup that lacks a part. Raises NotABackup when a kept one has no index: then
    nothing is removed.
    """
    found = [one.id for one in backups(store)]
    old, kept = found[:-keep], found[-keep:]
    if not old:
        return [], 0
    needed = _blobs(store, kept)
    unneeded = _blobs(store, old) - needed
    for backup_id in old:
        store.remove(manifest_name(backup_id))
        store.remove(index_name(backup_id))
    for blob in unneeded:
        store.remove(blob)
    return old, len(unneeded)


def _blobs(store: BackupStore, ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for backup_id in ids:
        content = store.get(index_name(backup_id))
        if content is None:
            raise NotABackup(f"backup {backup_id} has no index; nothing was removed")
        found |= set(orjson.loads(content))
    return found
