"""What every online store keeps to when events come late, together or twice: a newer value is never overwritten by an older one."""

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore as Feast

from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.features.interfaces import FeatureStore, RowsNotValid

from .feast_backends import OnDynamoDbAndS3, OnElastiCacheAndS3, OnRedis, OnSqlite

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
EVENTS = [(NOON, 1), (NOON + timedelta(milliseconds=300), 2), (NOON + timedelta(minutes=1), 3)]
ORDERS = list(itertools.permutations(range(3)))
COUNT = itertools.count()


def somebody() -> str:
    """Return a customer no other test knows."""
    return f"late-{next(COUNT)}"


async def push(store: FeatureStore, customer: str, *events: tuple[Any, int]) -> None:
    rows: dict[str, list[Any]] = {
        "customer_id": [customer] * len(events),
        "shop": [1] * len(events),
        "visits": [value for _, value in events],
        "event_timestamp": [at.isoformat() if isinstance(at, datetime) else at for at, _ in events],
    }
    assert await store.push("visits", rows) == len(events)


async def visits(store: FeatureStore, customer: str) -> int | None:
    found = await store.online([("visits", "visits")], {"customer_id": [customer], "shop": [1]})
    value: int | None = found.columns["visits"][0]
    return value


def remember(feast: Feast, customer: str, at: datetime, value: int) -> None:
    """Add an event to the history that is materialised."""
    path = feast.get_feature_view("visits").batch_source.path
    row = pd.DataFrame({"customer_id": [customer], "shop": [1], "event_timestamp": [at], "visits": [value]})
    pd.concat([pd.read_parquet(path), row]).to_parquet(path)


class NewerValuesContract:
    """Part of the feature store's contract; `store` writes with the settings of `feast`'s own file."""

    @pytest.mark.parametrize("order", ORDERS)
    async def test_one_after_another_in_any_order_the_newest_event_stays(
        self, store: FeatureStore, order: tuple[int, ...]
    ) -> None:
        customer = somebody()
        for position in order:
            await push(store, customer, EVENTS[position])
        assert await visits(store, customer) == 3

    @pytest.mark.parametrize("order", ORDERS)
    async def test_in_one_push_in_any_order_the_newest_event_stays(
        self, store: FeatureStore, order: tuple[int, ...]
    ) -> None:
        customer = somebody()
        await push(store, customer, *(EVENTS[position] for position in order))
        assert await visits(store, customer) == 3

    async def test_events_of_one_second_are_told_apart(self, store: FeatureStore) -> None:
        customer = somebody()
        await push(store, customer, EVENTS[1])
        await push(store, customer, EVENTS[0])
        assert await visits(store, customer) == 2

    async def test_of_equal_event_times_the_row_written_last_stays(self, store: FeatureStore) -> None:
        customer = somebody()
        await push(store, customer, (NOON, 1))
        await push(store, customer, (NOON, 2))
        assert await visits(store, customer) == 2
        await push(store, customer, (NOON, 3), (NOON, 4))
        assert await visits(store, customer) == 4

    async def test_offsets_are_respected_and_a_time_without_one_is_utc(self, store: FeatureStore) -> None:
        customer = somebody()
        await push(store, customer, (NOON.astimezone(timezone(timedelta(hours=-11))), 1))
        await push(store, customer, ((NOON - timedelta(minutes=1)).astimezone(timezone(timedelta(hours=14))), 2))
        assert await visits(store, customer) == 1
        await push(store, customer, ((NOON - timedelta(seconds=1)).replace(tzinfo=None), 3))
        assert await visits(store, customer) == 1
        await push(store, customer, ((NOON + timedelta(seconds=1)).replace(tzinfo=None), 4))
        assert await visits(store, customer) == 4

    async def test_an_event_without_a_time_happened_when_it_came(self, store: FeatureStore) -> None:
        customer = somebody()
        await push(store, customer, (NOON, 1))
        assert await store.push("visits", {"customer_id": [customer], "shop": [1], "visits": [2]}) == 1
        assert await visits(store, customer) == 2
        await push(store, customer, (None, 3))
        await push(store, customer, (NOON + timedelta(hours=1), 4))
        assert await visits(store, customer) == 3

    @pytest.mark.parametrize(
        ("at", "complaint"),
        [
            ((datetime.now(UTC) + timedelta(days=1)).isoformat(), "in the future"),
            ("9999-12-31T23:59:59Z", "in the future"),
            ("1969-07-20T20:17:00Z", "before 1970"),
            (1_764_000_000, "RFC 3339"),
            ("soon", "RFC 3339"),
            (True, "RFC 3339"),
        ],
        ids=["tomorrow", "year-9999", "before-1970", "number", "word", "boolean"],
    )
    async def test_a_time_that_would_lock_out_true_events_or_is_none_is_refused(
        self, store: FeatureStore, at: Any, complaint: str
    ) -> None:
        customer = somebody()
        with pytest.raises(RowsNotValid, match=complaint) as refused:
            await push(store, customer, (NOON, 1), (at, 2))
        assert "'event_timestamp', row 1" in str(refused.value.detail)
        assert await visits(store, customer) is None, "a refused push leaves nothing behind"

    async def test_what_was_pushed_survives_an_older_history(self, store: FeatureStore, feast: Feast) -> None:
        customer, other = somebody(), somebody()
        await push(store, customer, (NOON + timedelta(seconds=30), 1))
        await push(store, other, (NOON - timedelta(seconds=30), 1))
        for one in (customer, other):
            remember(feast, one, NOON, 2)
        await self.materialize(store, feast)
        assert [await visits(store, customer), await visits(store, other)] == [1, 2]

    async def test_what_was_materialised_survives_an_older_event(self, store: FeatureStore, feast: Feast) -> None:
        customer = somebody()
        remember(feast, customer, NOON, 1)
        await self.materialize(store, feast)
        await push(store, customer, (NOON - timedelta(seconds=1), 2))
        assert await visits(store, customer) == 1
        await push(store, customer, (NOON + timedelta(seconds=1), 3))
        assert await visits(store, customer) == 3

    async def materialize(self, store: FeatureStore, feast: Feast) -> None:
        """Bring all of the history online again, through the platform's own store."""
        view = feast.get_feature_view("visits")
        view.materialization_intervals = []
        feast.registry.delete_feature_view("visits", feast.project)
        feast.registry.apply_feature_view(view, feast.project)
        assert await store.materialize(["visits"], datetime.now(UTC)) == ["visits"]

    async def test_of_many_writers_at_once_the_newest_event_wins(self, store: FeatureStore, feast: Feast) -> None:
        customers = [somebody() for _ in range(5)]
        writers = [FeastStore(Path(feast.repo_path)) for _ in range(4)]
        events = [(NOON + timedelta(milliseconds=number), number) for number in range(40)]
        random.Random(9).shuffle(events)

        async def write(writer: FeatureStore, mine: list[tuple[datetime, int]]) -> None:
            for event in mine:
                for customer in customers:
                    await push(writer, customer, event)

        await asyncio.gather(*(write(writer, events[number::4]) for number, writer in enumerate(writers)))
        assert [await visits(store, customer) for customer in customers] == [39] * 5

    async def test_pushes_and_a_materialisation_at_once_keep_the_newest(
        self, store: FeatureStore, feast: Feast
    ) -> None:
        customers = [somebody() for _ in range(10)]
        for customer in customers:
            remember(feast, customer, NOON, 1)
        early = [push(store, customer, (NOON - timedelta(seconds=1), 0)) for customer in customers[:5]]
        late = [push(store, customer, (NOON + timedelta(seconds=1), 2)) for customer in customers[5:]]
        await asyncio.gather(self.materialize(store, feast), *early, *late)
        assert [await visits(store, customer) for customer in customers] == [1] * 5 + [2] * 5

    async def test_a_repeated_write_changes_nothing(self, store: FeatureStore) -> None:
        customer = somebody()
        for _ in range(2):
            await push(store, customer, *EVENTS)
        assert await visits(store, customer) == 3

    async def test_feasts_own_file_is_not_touched(self, store: FeatureStore, feast: Feast) -> None:
        file = Path(feast.repo_path) / "feature_store.yaml"
        before = file.read_bytes()
        await push(store, somebody(), (NOON, 1))
        assert file.read_bytes() == before
        assert feast.config.online_store.type in {
            "sqlite",
            "redis",
            "dynamodb",
            "mlops_platform.adapters.feast.elasticache.ElastiCacheOnlineStore",
        }


class TestOnSqlite(OnSqlite, NewerValuesContract):
    pass


class TestOnRedis(OnRedis, NewerValuesContract):
    pass


class TestOnElastiCacheAndS3(OnElastiCacheAndS3, NewerValuesContract):
    pass


class TestOnDynamoDbAndS3(OnDynamoDbAndS3, NewerValuesContract):
    pass
