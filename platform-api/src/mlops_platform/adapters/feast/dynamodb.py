"""Feast's DynamoDB online store, in which a newer event is never overwritten by an older one.

Feast's own store puts items in batches, and a batch cannot have conditions. Here each item is put on the condition that what
is stored is not newer; DynamoDB compares and writes in one step, at the price in write units that a batch has.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import ClientError
from feast.infra.online_stores.dynamodb import (
    DynamoDBOnlineStore,
    DynamoDBOnlineStoreConfig,
    _get_table_name,
    _to_client_write_item,
)

from mlops_platform.adapters.feast.newest import Row, in_utc, newest_of_each

# as many as boto3 keeps connections
_AT_ONCE = 10
# Feast writes event times as text with the offset they came with; texts in UTC compare as their times do
_FREE = "attribute_not_exists(entity_id) OR (contains(event_ts, :utc) AND event_ts <= :event_ts)"
_AS_SEEN = "event_ts = :event_ts"


class NewestDynamoDBOnlineStoreConfig(DynamoDBOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no hints
    """What Feast's `dynamodb` takes."""

    type: Literal["mlops_platform.adapters.feast.dynamodb.NewestDynamoDBOnlineStore"]


class NewestDynamoDBOnlineStore(DynamoDBOnlineStore):  # type: ignore[misc]
    """Keeps the rule of adapters/feast/newest.py, in one step per entity. A batch that fails may be written in part; repeat it."""

    keeps_newest = True

    def online_write_batch(
        self, config: Any, table: Any, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Write each entity's newest row unless a newer event is stored."""
        store = config.online_store
        client = self._get_dynamodb_client(store.region, store.endpoint_url, store.session_based_auth)
        name = _get_table_name(store, config, table)

        def write(row: Row) -> None:
            entity, values, moment, _ = row
            _put(client, name, _to_client_write_item(config, entity, values, in_utc(moment)))

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            # reading the answers raises what one of them raised
            list(threads.map(write, newest_of_each(data)))
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: Any, table: Any, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Like `online_write_batch`; ours, because Feast's puts without conditions here too."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)


def _put(client: Any, table: str, item: dict[str, Any]) -> None:
    """Put an item unless a newer one is stored, whatever its offset. Raises botocore's ClientError."""
    event_time = item["event_ts"]["S"]
    condition, values = _FREE, {":event_ts": {"S": event_time}, ":utc": {"S": "+00:00"}}
    while True:
        try:
            client.put_item(
                TableName=table,
                Item=item,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            stored = error.response.get("Item", {}).get("event_ts", {}).get("S")
            if stored is None:
                # removed meanwhile
                condition, values = _FREE, {":event_ts": {"S": event_time}, ":utc": {"S": "+00:00"}}
            elif _is_newer(stored, event_time):
                return
            else:
                condition, values = _AS_SEEN, {":event_ts": {"S": stored}}
        else:
            return


def _is_newer(stored: str, event_time: str) -> bool:
    try:
        return in_utc(datetime.fromisoformat(stored)) > datetime.fromisoformat(event_time)
    except ValueError:
        # nobody can say how old it is: it gives way
        return False
