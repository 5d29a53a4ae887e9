"""Feast's registry on S3, written so that nobody's definitions are lost: on the condition that nobody wrote since it was read.

Feast puts the whole registry as it read it some time ago, and what somebody applied in between is gone.
"""

import uuid
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from feast.infra.registry.s3 import S3RegistryStore

from mlops_platform.adapters.feast.names import RegistryProto
from mlops_platform.adapters.feast.registry import copied, keep_theirs
from mlops_platform.kit.clock import now

# somebody wrote between our look and our write
_CONFLICTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class MergingS3RegistryStore(S3RegistryStore):  # type: ignore[misc]  # Feast ships no hints
    """One object, replaced on a condition."""

    def __init__(self, registry_config: Any, repo_path: Path) -> None:
        super().__init__(registry_config, repo_path)
        self._before = RegistryProto()

    def get_registry_proto(self) -> Any:
        """Return what the object holds. Raises FileNotFoundError when there is none, and FeastError."""
        found = super().get_registry_proto()
        self._before = copied(found)
        return found

    def update_registry_proto(self, registry_proto: Any) -> None:
        """Replace the object; what others changed since it was read stays. Raises ClientError."""
        client = self.s3_client.meta.client
        while True:
            condition = {"IfNoneMatch": "*"}
            current = self._current(client)
            if current is not None:
                theirs, tag = current
                condition = {"IfMatch": tag}
                if theirs.version_id != self._before.version_id:
                    keep_theirs(registry_proto, theirs, self._before)
                    self._before = theirs
            registry_proto.version_id = str(uuid.uuid4())
            registry_proto.last_updated.FromDatetime(now())
            body = registry_proto.SerializeToString()
            try:
                client.put_object(Bucket=self._bucket, Key=self._key, Body=body, **condition, **self._boto_extra_args)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _CONFLICTS:
                    raise
            else:
                self._before = copied(registry_proto)
                return

    def _current(self, client: Any) -> tuple[Any, str] | None:
        try:
            found = client.get_object(Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        return RegistryProto.FromString(found["Body"].read()), found["ETag"]
