"""What a backup on AWS is made of, on an emulated AWS: an instance, buckets with versions, a key, and a locked place of backups.

The emulator keeps no data in its instances, so what RDS restores is not proven here: only which calls are made, with what, and
what is refused. Objects and their versions are real bytes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3

from mlops_platform.adapters.aws.backup_bucket import BackupBucket
from mlops_platform.adapters.aws.backup_key import KmsManifestSigner
from mlops_platform.adapters.aws.managed_database import RdsDatabase
from mlops_platform.adapters.aws.versioned_objects import S3Objects
from mlops_platform.backup.cluster_envelope import fingerprint
from mlops_platform.backup.cluster_interfaces import ClusterState
from mlops_platform.backup.cluster_manifest import LogHead
from mlops_platform.backup.cluster_reading import ClusterReader
from mlops_platform.backup.cluster_restoring import ClusterRestored, Target, finish, restore_cluster
from mlops_platform.backup.cluster_taking import ClusterTaken, take
from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.kit.clock import now

from ..support.waiting import eventually

REGION = "us-east-1"


@dataclass
class Cluster:
    """One environment on the emulated AWS, everything named after `name`."""

    aws: str
    name: str

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.aws, region_name=REGION)

    def make(self) -> None:
        self.client("rds").create_db_instance(
            DBInstanceIdentifier=self.name,
            Engine="postgres",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            MasterUsername="mlops",
            MasterUserPassword="only-an-emulator-takes-it",
            BackupRetentionPeriod=7,
        )
        s3 = self.client("s3")
        for bucket in (self.artifacts, f"{self.name}-restored", f"{self.name}-scratch"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=self.artifacts, VersioningConfiguration={"Status": "Enabled"})
        s3.create_bucket(Bucket=self.backups, ObjectLockEnabledForBucket=True)
        key = self.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        self.key = key["KeyMetadata"]["Arn"]
        next_second()

    @property
    def artifacts(self) -> str:
        return f"{self.name}-artifacts"

    @property
    def backups(self) -> str:
        return f"{self.name}-backups"

    @property
    def uri(self) -> str:
        return f"s3://{self.artifacts}/mlflow"

    @property
    def restored(self) -> str:
        return f"s3://{self.name}-restored/mlflow"

    @property
    def store(self) -> BackupStore:
        return BackupBucket(f"s3://{self.backups}/platform", self.aws, write_once=True)

    @property
    def state(self) -> ClusterState:
        return ClusterState(
            RdsDatabase(self.name, self.aws, pause=lambda: None),
            S3Objects(self.aws),
            KmsManifestSigner(self.key, self.aws),
            {"mlflow": self.uri},
        )

    @property
    def signed_by(self) -> str:
        return fingerprint(self.state.signer.public_key())

    @property
    def reader(self) -> ClusterReader:
        return ClusterReader(self.store, self.signed_by)

    def put(self, key: str, content: bytes) -> str:
        answer = self.client("s3").put_object(Bucket=self.artifacts, Key=f"mlflow/{key}", Body=content)
        return str(answer["VersionId"])

    def delete(self, key: str) -> None:
        self.client("s3").delete_object(Bucket=self.artifacts, Key=f"mlflow/{key}")

    def take(self, head: LogHead | None = None, **more: Any) -> ClusterTaken:
        """Take a backup, and let its second end: what is written from now on is newer than its moment."""
        taken = take(self.state, self.store, schema="0001", head_before=lambda _: head, **more)
        next_second()
        return taken

    def restore(self, taken: ClusterTaken, *, at: datetime | None = None, **more: Any) -> ClusterRestored:
        target = more.pop("target", Target(f"{self.name}-new", {"mlflow": self.restored}))
        restored = restore_cluster(self.state, self.reader, taken.manifest, target, at=at, **more)
        if not (restored.missing or restored.damaged):
            finish(self.state, target)
        return restored

    def objects(self, bucket: str) -> dict[str, bytes]:
        s3 = self.client("s3")
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found}


def next_second() -> None:
    """S3 gives times in whole seconds: wait for the next one."""
    began = now().replace(microsecond=0)
    eventually(lambda: now().replace(microsecond=0) > began, 5)
