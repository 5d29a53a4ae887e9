"""An audit mirror on the emulated AWS, made as Terraform makes it."""

from collections.abc import Callable
from typing import Any

import boto3

from mlops_platform.adapters.aws.audit_mirror import AwsAuditMirror
from mlops_platform.adapters.aws.clients import Clients


def client(aws: str, service: str) -> Any:
    return boto3.client(service, endpoint_url=aws, region_name="us-east-1")


def create(aws: str, name: str) -> None:
    """Make the table and the bucket, both called `name`."""
    keys = {"tenant": "S", "sequence": "N", "resource": "S"}
    client(aws, "dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
        KeySchema=[{"AttributeName": "tenant", "KeyType": "HASH"}, {"AttributeName": "sequence", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-resource",
                "Projection": {"ProjectionType": "ALL"},
                "KeySchema": [
                    {"AttributeName": "resource", "KeyType": "HASH"},
                    {"AttributeName": "sequence", "KeyType": "RANGE"},
                ],
            }
        ],
    )
    s3 = client(aws, "s3")
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    s3.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


class _Watched(Clients):
    """Clients that call somebody before each of their calls."""

    def __init__(self, inner: Clients, before_call: Callable[..., None]) -> None:
        self._inner, self._before_call, self._seen = inner, before_call, set[str]()

    def __getitem__(self, service: str) -> Any:
        made = self._inner[service]
        if service not in self._seen:
            self._seen.add(service)
            made.meta.events.register("before-call", self._before_call)
        return made


class Faulty(AwsAuditMirror):
    """A mirror whose connection can be made to fail: before its n-th call from now, or for as long as it is down."""

    def __init__(self, name: str, aws: str) -> None:
        super().__init__(name, name, aws)
        self.calls = 0
        self.fails_before: int | None = None
        self.error: Exception | None = None
        self._clients = _Watched(self._clients, self._before_call)

    def _before_call(self, **_: Any) -> None:
        self.calls += 1
        if self.error is not None and (self.fails_before is None or self.calls >= self.fails_before):
            raise self.error
