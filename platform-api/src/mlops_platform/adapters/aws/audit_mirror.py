"""The audit log's mirror on AWS: events in a DynamoDB table, heads in an S3 bucket with Object Lock.

A head's key holds what it says, heads/<size>-<root>.json, so listing the bucket is enough to check a whole log: no
object is read, and none can be exchanged under its key. The list is one of versions, so a delete marker hides nothing.
How long objects are locked is the bucket's default retention; how they are encrypted, its default encryption.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager

import orjson
from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from mlops_platform.adapters.aws.clients import Clients, answering, code_of
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import Mirror, MirrorConflict, MirroredEvent, MirrorUnavailable, Seal
from mlops_platform.kit.canonical import canonical_bytes

_HEADS = "heads/"
_KEY = re.compile(rf"{_HEADS}(\d{{20}})-([0-9a-f]{{64}})\.json")
_read = TypeDeserializer().deserialize


class AwsAuditMirror(Mirror):
    """One table and one bucket per log. Needs PutItem and Query on the table, PutObject and ListBucketVersions on the bucket."""

    def __init__(self, table: str, bucket: str, s3_endpoint_url: str | None = None) -> None:
        self._table, self._bucket = table, bucket
        self._clients = Clients(read_timeout=10, attempts=5, endpoints={"s3": s3_endpoint_url})
        # seals are locked, so what was listed once need not be listed again to find the newest
        self._newest_key = ""

    def keep(self, events: Sequence[MirroredEvent], head: SignedHead) -> None:
        key = _key(head.size, head.root)
        body = canonical_bytes(
            {
                "size": head.size,
                "root": head.root,
                "at": head.at.isoformat(),
                "signature": head.signature,
                "first": events[0].seq,
                "tenants": sorted({event.tenant for event in events}),
            }
        )
        with _answering():
            for event in events:
                self._put_event(event)
            if any(found != key for found in self._keys(f"{_HEADS}{head.size:020d}-")):
                raise MirrorConflict(f"The mirror has sealed another root for {head.size} events.")
            self._put_head(key, body)

    def newest(self) -> Seal | None:
        with _answering():
            keys = self._keys(_HEADS, after=self._newest_key)
        self._newest_key = max([self._newest_key, *keys])
        return _seal(self._newest_key) if self._newest_key else None

    def seals(self) -> list[Seal]:
        with _answering():
            return sorted(_seal(key) for key in self._keys(_HEADS))

    def events(self, tenant: str, first: int, last: int) -> list[MirroredEvent]:
        pages = (
            self._clients["dynamodb"]
            .get_paginator("query")
            .paginate(
                TableName=self._table,
                KeyConditionExpression="tenant = :tenant AND #sequence BETWEEN :first AND :last",
                ExpressionAttributeNames={"#sequence": "sequence"},
                ExpressionAttributeValues={
                    ":tenant": {"S": tenant},
                    ":first": {"N": str(first)},
                    ":last": {"N": str(last)},
                },
            )
        )
        with _answering():
            items = [{name: _read(value) for name, value in item.items()} for page in pages for item in page["Items"]]
        return [
            MirroredEvent(int(item["sequence"]), item["tenant"], str(item["resource"]), str(item["payload"]))
            for item in items
        ]

    def sealed_after(self, size: int) -> list[MirroredEvent]:
        found: list[MirroredEvent] = []
        with _answering():
            versions = {key: version for key, version in self._keys(_HEADS).items() if _seal(key).size > size}
            for key, version in sorted(versions.items()):
                got = self._clients["s3"].get_object(Bucket=self._bucket, Key=key, VersionId=version)
                tenants, last = orjson.loads(got["Body"].read())["tenants"], _seal(key).size
                found += sorted(
                    (event for tenant in tenants for event in self.events(tenant, size + 1, last)),
                    key=lambda event: event.seq,
                )
                size = last
        return found

    def _put_event(self, event: MirroredEvent) -> None:
        try:
            self._clients["dynamodb"].put_item(
                TableName=self._table,
                Item={
                    "tenant": {"S": event.tenant},
                    "sequence": {"N": str(event.seq)},
                    "resource": {"S": event.resource},
                    "payload": {"S": event.payload},
                    "leaf": {"S": event.leaf.hex()},
                },
                ConditionExpression="attribute_not_exists(payload) OR payload = :payload",
                ExpressionAttributeValues={":payload": {"S": event.payload}},
            )
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                raise MirrorConflict(f"The mirror holds another text of event {event.seq}.") from error
            raise

    def _put_head(self, key: str, body: bytes) -> None:
        try:
            # the bucket locks only what comes with a checksum
            self._clients["s3"].put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
            )
        except ClientError as error:
            # the key says size and root: what is there already says the same
            if code_of(error) != "PreconditionFailed":
                raise

    def _keys(self, prefix: str, after: str = "") -> dict[str, str]:
        """Return the seals' keys below a prefix, each with its first version, which nobody can replace."""
        start = {"KeyMarker": after} if after else {}
        pages = (
            self._clients["s3"]
            .get_paginator("list_object_versions")
            .paginate(Bucket=self._bucket, Prefix=prefix, **start)
        )
        # newest version first, so the last one seen is the first one written
        return {
            found["Key"]: found["VersionId"]
            for page in pages
            for found in page.get("Versions", [])
            if _KEY.fullmatch(found["Key"])
        }


def _key(size: int, root: str) -> str:
    return f"{_HEADS}{size:020d}-{root}.json"


def _seal(key: str) -> Seal:
    size, root = key.removeprefix(_HEADS).removesuffix(".json").split("-")
    return Seal(int(size), root)


def _answering() -> AbstractContextManager[None]:
    return answering(_unavailable)


def _unavailable() -> MirrorUnavailable:
    return MirrorUnavailable("DynamoDB or S3 does not take or give the audit mirror now.", retry_after=30)
