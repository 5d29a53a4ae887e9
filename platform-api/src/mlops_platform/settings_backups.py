"""Settings of backups: where they are kept, and what on AWS belongs to one."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BackupSettings(BaseSettings):
    """A folder or a bucket for backups; with an RDS instance they record a point in time of AWS instead of copying a home."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", extra="ignore", frozen=True)

    backup_uri: str | None = Field(
        None,
        description="Where backups are kept (a folder, or s3://bucket/prefix): what `mlops backup` and `mlops restore` take when no place "
        "is named, and whose newest backup's age the worker shows.",
    )
    backup_rds_instance: str | None = Field(
        None,
        description="RDS instance that holds the databases. With it `mlops backup` records a moment of RDS and the versions of objects on "
        "S3 (docs/guides/disaster-recovery.md); needs MLOPS_BACKUP_KMS_KEY.",
    )
    backup_kms_key: str | None = Field(
        None,
        description="KMS key (ECC_NIST_P256, by ARN) that signs the manifests of backups on AWS, and nothing else.",
    )
    backup_mlflow_uri: str | None = Field(
        None, description="Where MLflow keeps artifacts (s3://bucket/prefix): part of a backup on AWS."
    )
    backup_lake_uri: str | None = Field(
        None,
        description="The data lake (s3://bucket): its prefixes `features` and `registry` are part of a backup on AWS.",
    )
    backup_scratch_uri: str | None = Field(
        None,
        description="Where `mlops restore --check` puts objects on AWS before it removes them again (s3://bucket/prefix).",
    )

    def backup_sources(self, bundle_uri: str | None, prediction_table_uri: str | None) -> dict[str, str]:
        """Return what on S3 belongs to a backup, by name; only what settings name."""
        lake = self.backup_lake_uri.rstrip("/") if self.backup_lake_uri else None
        bundles = bundle_uri.rstrip("/") if bundle_uri else None
        named = {
            "mlflow": self.backup_mlflow_uri,
            "bundles": bundles,
            # statements and locks lie beside the bundles (adapters/aws/bundles.py)
            "bundles-beside": f"{bundles}-beside" if bundles else None,
            "features": f"{lake}/features" if lake else None,
            "registry": f"{lake}/registry" if lake else None,
            "predictions": prediction_table_uri,
        }
        return {name: uri.rstrip("/") for name, uri in named.items() if uri}
