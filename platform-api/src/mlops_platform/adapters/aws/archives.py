"""Packed environments of models on S3, where the role of model servers may read them, each named by its digest."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.environment_locks.interfaces import Archives, EnvironmentUnavailable
from model_server.libraries.archive import pack
from model_server.libraries.packed import PACKED, Packed, read
from model_server.refusals import Refused

# below the bundles' own prefix, which that role may read and the worker write, and below no bundle
_FOLDER = ".environments"
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Archives(Archives):
    """Publishes below one prefix. Beside an installed environment it notes which archive it became."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        bucket, _, path = prefix.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = "/".join(part for part in (path.strip("/"), _FOLDER) if part)
        self._clients = Clients(read_timeout=60, attempts=3, endpoints={"s3": endpoint_url})

    @property
    def place(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def publish(self, folder: Path) -> Packed:
        with _told():
            known = _noted(folder)
            if known is not None and self._size(known) == known.size:
                return known
            with tempfile.NamedTemporaryFile(prefix=".packing-", dir=folder.parent) as archive:
                packed = pack(folder, archive)
                archive.flush()
                # another worker may have packed the same files: then these are the same bytes
                if self._size(packed) != packed.size:
                    self._clients["s3"].upload_file(
                        archive.name,
                        self._bucket,
                        f"{self._prefix}/{packed.key}",
                        ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                    )
            _note(folder, packed)
            return packed

    def _size(self, packed: Packed) -> int | None:
        try:
            found = self._clients["s3"].head_object(Bucket=self._bucket, Key=f"{self._prefix}/{packed.key}")
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise
        return int(found["ContentLength"])


def _noted(folder: Path) -> Packed | None:
    try:
        packed = read((folder / PACKED).read_bytes())
    except (OSError, Refused):
        # not packed yet, or the note is damaged: packing again gives the same archive
        return None
    return packed if packed.name == folder.name else None


def _note(folder: Path, packed: Packed) -> None:
    fresh = folder / f".{PACKED}.new"
    fresh.write_bytes(packed.as_json())
    fresh.replace(folder / PACKED)


@contextmanager
def _told() -> Iterator[None]:
    try:
        with answering(_unavailable):
            yield
    except Boto3Error as error:
        raise _unavailable() from error
    except OSError as error:
        raise EnvironmentUnavailable(
            "A model's libraries cannot be packed for the cluster; check the worker's disk.", retry_after=60
        ) from error


def _unavailable() -> EnvironmentUnavailable:
    return EnvironmentUnavailable("S3 does not take a model's libraries now.", retry_after=5)
