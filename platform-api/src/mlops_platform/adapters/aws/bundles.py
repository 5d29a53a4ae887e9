"""Bundles on S3, named by what they contain: s3://bucket/prefix/<name>/<sha256 of the manifest>/.

The manifest lists every file with its size and SHA-256 and is written last, so a half-published bundle does not exist.
The address holds the manifest's digest, and the platform's database holds the address: whoever can write to the bucket
cannot exchange a model unnoticed.
"""

import base64
import hashlib
import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.builds.interfaces import BundleDamaged, BundleStore, BundleUnavailable
from mlops_platform.kit.digests import file_sha256
from mlops_platform.kit.ids import new_id

MANIFEST = "manifest.json"
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Bundles(BundleStore):
    """Publishes to one prefix, fetches into a cache that every process of the machine may share."""

    def __init__(self, prefix: str, cache: Path, endpoint_url: str | None = None) -> None:
        bucket, _, path = prefix.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, path.strip("/")
        self._cache = cache
        self._clients = Clients(read_timeout=20, attempts=3, endpoints={"s3": endpoint_url})

    def publish(self, folder: Path) -> str:
        files = {
            path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_sha256(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }
        manifest = json.dumps({"format": 1, "files": files}, sort_keys=True, separators=(",", ":")).encode()
        base = "/".join(part for part in (self._prefix, folder.name, hashlib.sha256(manifest).hexdigest()) if part)
        with _answering():
            if not self._exists(f"{base}/{MANIFEST}"):
                for name, described in files.items():
                    self._put(f"{base}/{name}", (folder / name).read_bytes(), str(described["sha256"]))
                self._put(f"{base}/{MANIFEST}", manifest, hashlib.sha256(manifest).hexdigest())
        return f"s3://{self._bucket}/{base}"

    def fetch(self, address: str) -> Path:
        base, name, digest = self._parts(address)
        folder = self._cache / f"{name}-{digest[:24]}"
        if (folder / MANIFEST).is_file() and file_sha256(folder / MANIFEST) == digest:
            # the folder came into being by one rename, after every file was checked
            return folder
        scratch = self._cache / f".fetching-{new_id()}"
        scratch.mkdir(parents=True, mode=0o700)
        try:
            self._download(base, digest, scratch)
            shutil.rmtree(folder, ignore_errors=True)
            try:
                scratch.rename(folder)
            except OSError:
                # another process was faster; its folder holds the same bytes
                if not (folder / MANIFEST).is_file():
                    raise
        except OSError as error:
            raise BundleUnavailable("The bundle cache cannot be written; check the disk.", retry_after=5) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def keep_beside(self, address: str, name: str, content: bytes) -> None:
        with _answering():
            self._put(self._beside(address, name), content, hashlib.sha256(content).hexdigest())

    def beside(self, address: str, name: str) -> bytes | None:
        key = self._beside(address, name)
        with _answering():
            return self._get(key) if self._exists(key) else None

    def _beside(self, address: str, name: str) -> str:
        base, _, _ = self._parts(address)
        # not below the bundle, whose every file a pod fetches, and not where models' role may read
        return (
            f"{self._prefix}-beside{base.removeprefix(self._prefix)}/{name}"
            if self._prefix
            else f"beside/{base}/{name}"
        )

    def _download(self, base: str, digest: str, scratch: Path) -> None:
        manifest = self._get(f"{base}/{MANIFEST}")
        if hashlib.sha256(manifest).hexdigest() != digest:
            raise BundleDamaged("The published bundle's manifest was changed; find out who can write to the bucket.")
        for name, described in json.loads(manifest)["files"].items():
            if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise BundleDamaged("The published bundle's manifest names a file outside the bundle.")
            content = self._get(f"{base}/{name}")
            if hashlib.sha256(content).hexdigest() != described["sha256"]:
                raise BundleDamaged(
                    f"'{name}' of the published bundle was changed; find out who can write to the bucket."
                )
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (scratch / MANIFEST).write_bytes(manifest)

    def _parts(self, address: str) -> tuple[str, str, str]:
        base = address.removeprefix(f"s3://{self._bucket}/")
        name, _, digest = base.rpartition("/")
        if base == address or not base.startswith(self._prefix) or not name:
            raise BundleDamaged("The bundle was published to another place than MLOPS_BUNDLE_URI; deploy it again.")
        return base, name.rpartition("/")[2], digest

    def _exists(self, key: str) -> bool:
        try:
            self._clients["s3"].head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return False
            raise
        return True

    def _put(self, key: str, content: bytes, sha256: str) -> None:
        # S3 refuses bytes that do not have this digest
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        self._clients["s3"].put_object(Bucket=self._bucket, Key=key, Body=content, ChecksumSHA256=checksum)

    def _get(self, key: str) -> bytes:
        with _answering():
            try:
                content: bytes = self._clients["s3"].get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise BundleDamaged(
                        "A file of the published bundle is missing; deploy the version again."
                    ) from error
                raise
        return content


def _answering() -> AbstractContextManager[None]:
    return answering(_unavailable)


def _unavailable() -> BundleUnavailable:
    return BundleUnavailable("S3 does not give or take the bundle now.", retry_after=5)
