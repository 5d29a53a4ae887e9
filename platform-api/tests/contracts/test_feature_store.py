"""The feature store answers what Feast answers, for every kind of value: on SQLite read in place, Redis, and Redis as AWS has it."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore as Feast

from mlops_platform.features.interfaces import FeatureNotFound, FeatureStore, FeatureViewNotFound, KeysNotValid

from .feast_backends import FIELDS, NOW, OnDynamoDbAndS3, OnElastiCacheAndS3, OnRedis, OnSqlite


class FeatureStoreContract:
    """What every feature store keeps to."""

    async def test_it_says_up_to_when_each_view_was_materialised(self, store: FeatureStore) -> None:
        found = await store.materialized()
        assert found.keys() == {"customers", "visits"}
        for moment in found.values():
            assert moment is not None
            assert abs((moment - NOW).total_seconds()) < 2

    @pytest.mark.parametrize("name", FIELDS)
    async def test_every_kind_of_value_is_what_feast_itself_answers(
        self, feast: Feast, store: FeatureStore, name: str
    ) -> None:
        ids = ["a", "nobody", "b", "old", "é/1", "a"]
        found = await store.online([("customers", name)], {"customer_id": ids})
        theirs = feast.get_online_features(
            features=[f"customers:{name}"], entity_rows=[{"customer_id": key} for key in ids]
        ).to_dict()[name]
        # Feast gives a value that is too old with a status; here nobody computes with it by accident
        theirs[3] = None
        assert [plain(value) for value in found.columns[name]] == [plain(value) for value in theirs]
        assert found.statuses[name][1] == "NOT_FOUND"
        assert found.statuses[name][3] == "OUTSIDE_MAX_AGE"
        assert found.columns[name][3] is None

    async def test_several_features_and_a_composite_key(self, store: FeatureStore) -> None:
        keys = {"customer_id": ["a", "a", "b"], "shop": [1, 2, 1]}
        found = await store.online([("visits", "visits"), ("customers", "text"), ("customers", "whole")], keys)
        assert found.columns == {"visits": [5, 6, None], "text": ["x", "x", None], "whole": [1, 1, -(2**53)]}

    async def test_what_is_pushed_is_read_next(self, store: FeatureStore) -> None:
        assert await store.push("visits", {"customer_id": ["new"], "shop": [9], "visits": [77]}) == 1
        found = await store.online([("visits", "visits")], {"customer_id": ["new"], "shop": [9]})
        assert found.columns == {"visits": [77]}

    async def test_it_says_that_it_answers(self, store: FeatureStore) -> None:
        await store.ping()

    async def test_unknown_views_features_and_keys_are_situations(self, store: FeatureStore) -> None:
        with pytest.raises(FeatureViewNotFound):
            await store.online([("nothing", "x")], {"customer_id": ["a"]})
        with pytest.raises(FeatureNotFound):
            await store.online([("customers", "nothing")], {"customer_id": ["a"]})
        with pytest.raises(KeysNotValid):
            await store.online([("customers", "whole")], {"customer_id": [5]})

    async def test_training_rows_never_see_what_came_later(self, store: FeatureStore) -> None:
        asked = pd.DataFrame(
            {"customer_id": ["a", "a"], "event_timestamp": [NOW - timedelta(hours=2), NOW - timedelta(minutes=1)]}
        )
        joined = await store.historical(["customers:whole"], asked)
        # Feast leaves out rows that had no value yet
        early = joined["event_timestamp"] < pd.Timestamp(NOW - timedelta(hours=1))
        assert joined[early]["whole"].isna().all()
        assert joined[~early]["whole"].tolist() == [1]


def plain(value: Any) -> Any:
    """Timestamps as seconds: Feast's own answer gives them as datetime, the wire as whole numbers."""
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=UTC).timestamp() if value.tzinfo is None else value.timestamp())
    return value


class TestFeastOnSqlite(OnSqlite, FeatureStoreContract):
    pass


class TestFeastOnRedis(OnRedis, FeatureStoreContract):
    pass


class TestFeastOnElastiCacheAndS3(OnElastiCacheAndS3, FeatureStoreContract):
    pass


class TestFeastOnDynamoDbAndS3(OnDynamoDbAndS3, FeatureStoreContract):
    pass


def test_feast_starts_without_compiling_checks_into_its_classes() -> None:
    program = (
        "from mlops_platform.adapters.feast.names import FeatureView\n"
        "import typeguard\n"
        "assert 'typeguard' not in FeatureView.__init__.__code__.co_names\n"
        "assert typeguard.typechecked.__module__.startswith('typeguard')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
