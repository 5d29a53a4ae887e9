"""The one place that chooses where backups go and of what they are made: a part of `bootstrap.py`."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlops_platform.backup.interfaces import BackupStore

if TYPE_CHECKING:
    from mlops_platform.backup.cluster_interfaces import ClusterState, ManifestSigner
    from mlops_platform.settings import Settings


def build_backup_store(place: str, endpoint_url: str | None = None, *, write_once: bool = False) -> BackupStore:
    """Return a place of backups: a folder, or s3://bucket/prefix. `write_once`: the bucket takes no object twice (Object Lock)."""
    if place.startswith("s3://"):
        from mlops_platform.adapters.aws.backup_bucket import BackupBucket

        return BackupBucket(place, endpoint_url, write_once=write_once)
    from mlops_platform.adapters.local.backup_folder import BackupFolder

    return BackupFolder(Path(place))


def build_cluster_state(settings: "Settings") -> "ClusterState | None":
    """Return what a backup on AWS is made of; None without an RDS instance: then a home is backed up."""
    if settings.backup_rds_instance is None:
        return None
    from mlops_platform.adapters.aws.managed_database import RdsDatabase
    from mlops_platform.adapters.aws.versioned_objects import S3Objects
    from mlops_platform.backup.cluster_interfaces import ClusterState

    return ClusterState(
        database=RdsDatabase(settings.backup_rds_instance),
        objects=S3Objects(settings.s3_endpoint_url),
        signer=build_manifest_signer(settings),
        sources=settings.backup_sources(settings.bundle_uri, settings.prediction_table_uri),
    )


def build_manifest_signer(settings: "Settings") -> "ManifestSigner":
    """Return the key that signs manifests on AWS. Settings have seen to it that there is one."""
    from mlops_platform.adapters.aws.backup_key import KmsManifestSigner

    return KmsManifestSigner(settings.backup_kms_key or "")
