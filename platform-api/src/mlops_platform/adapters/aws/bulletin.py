"""Statements and the list of withdrawn approvals on S3, where the role of model servers may read them."""

import base64
import hashlib
from dataclasses import dataclass

from mlops_platform.adapters.aws.clients import Clients, answering
from mlops_platform.statements.interfaces import Bulletin, BulletinUnavailable, Posted
from model_server.trust.revocations import LIST

# below the bundles' own prefix, which that role may read and the worker write, and below no bundle, whose every file is fetched
_FOLDER = ".approvals"


@dataclass(frozen=True)
class _Place:
    bucket: str
    prefix: str

    def key(self, *parts: str) -> str:
        return "/".join(part for part in (self.prefix, _FOLDER, *parts) if part)


class S3Bulletin(Bulletin):
    """Posts below one prefix. S3 replaces an object whole: a reader sees the old one or the new one."""

    def __init__(self, prefix: str, endpoint_url: str | None = None) -> None:
        bucket, _, path = prefix.removeprefix("s3://").partition("/")
        self._place = _Place(bucket, path.strip("/"))
        self._clients = Clients(read_timeout=20, attempts=3, endpoints={"s3": endpoint_url})

    def post_statement(self, name: str, envelope: bytes) -> None:
        self._put(self._place.key(name), envelope)

    def post_list(self, envelope: bytes) -> None:
        self._put(self._place.key(LIST), envelope)

    def where(self, name: str) -> Posted:
        return Posted(*(f"s3://{self._place.bucket}/{self._place.key(each)}" for each in (name, LIST)))

    def _put(self, key: str, content: bytes) -> None:
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        with answering(_unavailable):
            self._clients["s3"].put_object(
                Bucket=self._place.bucket, Key=key, Body=content, ChecksumSHA256=checksum, CacheControl="no-store"
            )


def _unavailable() -> BulletinUnavailable:
    return BulletinUnavailable("S3 does not take the statement or the list now.", retry_after=5)
