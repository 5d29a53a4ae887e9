"""Backups below a prefix of an S3 bucket. Give the bucket versions and Object Lock: then nobody can take old ones away."""

import base64
import hashlib

from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.backup.interfaces import BackupStore, BackupStoreUnavailable

# the most that S3 lists at once
PAGE = 1_000
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class BackupBucket(BackupStore):
    """Blobs are objects below s3://bucket/prefix; S3 checks each against its SHA-256 when it takes it."""

    def __init__(self, uri: str, endpoint_url: str | None = None, *, write_once: bool = False) -> None:
        """`write_once`: say with each blob that none of its name may be there, as a bucket with Object Lock demands."""
        bucket, _, path = uri.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, f"{path.strip('/')}/" if path.strip("/") else ""
        self._condition = {"IfNoneMatch": "*"} if write_once else {}
        self._clients = Clients(read_timeout=60, attempts=5, endpoints={"s3": endpoint_url})

    def put(self, name: str, content: bytes) -> None:
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        with answering(self._unavailable):
            try:
                self._clients["s3"].put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + name,
                    Body=content,
                    ChecksumSHA256=checksum,
                    **self._condition,
                )
            except ClientError as error:
                # the same name is the same content
                if not self._condition or code_of(error) != "PreconditionFailed":
                    raise

    def get(self, name: str) -> bytes | None:
        with answering(self._unavailable):
            try:
                found = self._clients["s3"].get_object(Bucket=self._bucket, Key=self._prefix + name)
                content: bytes = found["Body"].read()
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return None
                raise
        return content

    def names(self, prefix: str) -> set[str]:
        with answering(self._unavailable):
            pages = (
                self._clients["s3"]
                .get_paginator("list_objects_v2")
                .paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            )
            return {each["Key"].removeprefix(self._prefix) for page in pages for each in page.get("Contents", [])}

    def remove(self, name: str) -> None:
        with answering(self._unavailable):
            self._clients["s3"].delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def _unavailable(self) -> BackupStoreUnavailable:
        return BackupStoreUnavailable(f"S3 does not give or take backups in {self._bucket} now.", retry_after=5)
