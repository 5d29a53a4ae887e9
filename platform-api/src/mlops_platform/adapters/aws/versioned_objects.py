"""Objects on S3 and their versions: listed, read for their digest, and copied as of a moment."""

import base64
import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.backup.cluster_interfaces import CloudUnavailable, VersionedObjects
from mlops_platform.backup.object_versions import ObjectVersion

MARK = ".mlops-restore"
_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed"})
_READ_BYTES = 8 << 20
# what S3 copies in one call; larger objects are copied in parts
COPY_WHOLE_BYTES = 5 << 30


class S3Objects(VersionedObjects):
    """S3 computes the digest of a copy as it writes it; of other versions the bytes are read once."""

    def __init__(self, endpoint_url: str | None = None) -> None:
        self._clients = Clients(read_timeout=120, attempts=5, endpoints={"s3": endpoint_url})

    def versions(self, uri: str) -> list[ObjectVersion]:
        bucket, prefix = _parts(uri)
        found = []
        with _answering():
            pages = self._clients["s3"].get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                found += [_version(prefix, one, deleted=False) for one in page.get("Versions", [])]
                found += [_version(prefix, one, deleted=True) for one in page.get("DeleteMarkers", [])]
        return [one for one in found if one.key != MARK]

    def digest(self, uri: str, one: ObjectVersion) -> str:
        bucket, prefix = _parts(uri)
        with _answering(), _lookup(one):
            return self._read({"Bucket": bucket, "Key": prefix + one.key, "VersionId": one.version})

    def digest_now(self, uri: str, key: str) -> str | None:
        bucket, prefix = _parts(uri)
        with _answering():
            try:
                return self._read({"Bucket": bucket, "Key": prefix + key})
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise

    def _read(self, where: Mapping[str, str]) -> str:
        told = self._clients["s3"].head_object(**where, ChecksumMode="ENABLED")
        return _whole(told) or _digest(self._clients["s3"].get_object(**where)["Body"])

    def copy(self, uri: str, one: ObjectVersion, target: str) -> str:
        (bucket, prefix), (into, below) = _parts(uri), _parts(target)
        source = {"Bucket": bucket, "Key": prefix + one.key, "VersionId": one.version}
        key = below + one.key
        with _answering(), _lookup(one):
            if one.size <= COPY_WHOLE_BYTES:
                answer = self._clients["s3"].copy_object(
                    Bucket=into, Key=key, CopySource=source, ChecksumAlgorithm="SHA256"
                )
                known = _whole(answer["CopyObjectResult"])
            else:
                self._clients["s3"].copy(source, into, key, Config=TransferConfig(max_concurrency=4))
                known = None
            return known or _digest(self._clients["s3"].get_object(Bucket=into, Key=key)["Body"])

    def present(self, uri: str) -> Mapping[str, int]:
        bucket, prefix = _parts(uri)
        with _answering():
            pages = self._clients["s3"].get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            found = {
                each["Key"].removeprefix(prefix): int(each["Size"])
                for page in pages
                for each in page.get("Contents", [])
            }
        found.pop(MARK, None)
        return found

    def claim(self, uri: str, mark: str) -> str | None:
        bucket, prefix = _parts(uri)
        with _answering():
            try:
                self._clients["s3"].put_object(Bucket=bucket, Key=prefix + MARK, Body=mark.encode(), IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                    raise
        return self.mark_of(uri)

    def mark_of(self, uri: str) -> str | None:
        bucket, prefix = _parts(uri)
        with _answering():
            try:
                found = self._clients["s3"].get_object(Bucket=bucket, Key=prefix + MARK)["Body"].read()
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise
        return bytes(found).decode()

    def release(self, uri: str) -> None:
        self.remove(uri, MARK)

    def remove(self, uri: str, key: str) -> None:
        bucket, prefix = _parts(uri)
        with _answering():
            self._clients["s3"].delete_object(Bucket=bucket, Key=prefix + key)


class _lookup(AbstractContextManager[None]):  # noqa: N801 - reads as a statement
    """Raise LookupError when a version is gone."""

    def __init__(self, one: ObjectVersion) -> None:
        self._one = one

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError) and code_of(error) in _GONE:
            raise LookupError(f"{self._one.key} has no version {self._one.version} any more") from error


def _version(prefix: str, told: Mapping[str, Any], *, deleted: bool) -> ObjectVersion:
    key, at = told["Key"].removeprefix(prefix), told["LastModified"].replace(microsecond=0)
    return ObjectVersion(key, told["VersionId"], at, int(told.get("Size", 0)), bool(told["IsLatest"]), deleted)


def _whole(told: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 (hex) S3 knows of a whole object; that of one in parts is a digest of digests, and ends with their number."""
    known = str(told.get("ChecksumSHA256") or "")
    if not known or "-" in known or told.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    return base64.b64decode(known).hex()


def _digest(body: Any) -> str:
    found = hashlib.sha256()
    for content in body.iter_chunks(_READ_BYTES):
        found.update(content)
    return found.hexdigest()


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, path = uri.removeprefix("s3://").partition("/")
    return bucket, f"{path.strip('/')}/" if path.strip("/") else ""


def _answering() -> AbstractContextManager[None]:
    return answering(
        lambda: CloudUnavailable(
            "S3 does not answer, or refuses: look at the bucket and the rights on it.", retry_after=5
        )
    )
