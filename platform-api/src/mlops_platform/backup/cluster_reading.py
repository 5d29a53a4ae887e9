"""Reading backups on AWS: the signed manifest, and lists of objects that are what it says."""

from hashlib import sha256

from mlops_platform.backup.cluster_envelope import is_cluster, opened
from mlops_platform.backup.cluster_manifest import ClusterManifest, SourceListing
from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.backup.manifest import NotABackup
from mlops_platform.backup.object_versions import ObjectVersion, from_listing
from mlops_platform.backup.reading import backups, manifest_name


def of_cluster(store: BackupStore) -> bool:
    """Return whether the newest backup of a place is one of AWS."""
    finished = backups(store)
    content = store.get(manifest_name(finished[-1].id)) if finished else None
    return content is not None and is_cluster(content)


class ClusterReader:
    """Believes manifests of one signer only."""

    def __init__(self, store: BackupStore, signed_by: str) -> None:
        self._store = store
        self._signed_by = signed_by

    def manifest(self, backup_id: str) -> ClusterManifest:
        """Return a backup's manifest. Raises NotABackup."""
        content = self._store.get(manifest_name(backup_id))
        if content is None:
            raise NotABackup(f"there is no backup {backup_id}, or it was never finished")
        if not is_cluster(content):
            raise NotABackup(f"{backup_id} is the backup of a home; restore it with --home")
        found = opened(content, self._signed_by)
        if found.id != backup_id:
            raise NotABackup(f"the manifest of {backup_id} is that of {found.id}: somebody exchanged them")
        return found

    def listing(self, source: SourceListing) -> list[ObjectVersion]:
        """Return the versions of a place. Raises NotABackup when the list is missing or was changed."""
        content = self._store.get(source.blob)
        if content is None:
            raise NotABackup(f"the list of objects of {source.name} is missing")
        if sha256(content).hexdigest() != source.sha256:
            raise NotABackup(f"the list of objects of {source.name} was changed")
        return from_listing(content)
