"""Views applied while the platform runs: found without a restart, pushed with every type, in every store and registry."""

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast import FeatureStore as Feast
from feast.types import (
    Array,
    Bool,
    Bytes,
    Decimal,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Map,
    Set,
    String,
    Struct,
    UnixTimestamp,
    Uuid,
    ZonedTimestamp,
)

from mlops_platform.adapters.feast import definitions, opening
from mlops_platform.features import service
from mlops_platform.features.interfaces import FeatureStore, KeysNotValid, RowsNotValid
from mlops_platform.identity.principal import Principal, Role

from .feast_backends import OnDynamoDbAndS3, OnElastiCacheAndS3, OnRedis, OnSqlite

NOON = "2026-11-01T12:00:00Z"
SECONDS = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp())
ID = "6f1c1c39-52a5-4d1c-8a70-0a4e0a0b0c0d"
# type, a value as pushed, the value as read
TYPES: dict[str, tuple[Any, Any, Any]] = {
    "text": (String, "ünï", "ünï"),
    "whole": (Int64, 2**63 - 1, 2**63 - 1),
    "small": (Int32, -(2**31), -(2**31)),
    "real": (Float64, 0.1, 0.1),
    "single": (Float32, 0.5, 0.5),
    "flag": (Bool, True, True),
    "bytes": (Bytes, "AP/+", "AP/+"),
    "moment": (UnixTimestamp, "2026-11-01T13:00:00+01:00", SECONDS),
    "seconds": (UnixTimestamp, SECONDS, SECONDS),
    "json": (Json, {"a": [1, None]}, {"a": [1, None]}),
    "id": (Uuid, ID.upper(), ID),
    "money": (Decimal, "12.340", "12.340"),
    "texts": (Array(String), ["p", "q"], ["p", "q"]),
    "wholes": (Array(Int64), [1, 2**53 + 1], [1, 2**53 + 1]),
    "reals": (Array(Float64), [], []),
    "moments": (Array(UnixTimestamp), [NOON, SECONDS + 1], [SECONDS, SECONDS + 1]),
    "flags": (Array(Bool), [True, False], [True, False]),
    "blobs": (Array(Bytes), ["AP/+"], ["AP/+"]),
    "set": (Set(Int64), [3, 1, 3], [1, 3]),
    "ids": (Array(Uuid), [ID], [ID]),
}


def apply(feast: Feast, name: str, features: dict[str, Any]) -> None:
    """What a data scientist does with Feast's own tools, while the platform runs."""
    number = Entity(name="number", join_keys=["number"], value_type=ValueType.INT64)
    history = FileSource(path="nowhere.parquet", timestamp_field="event_timestamp")
    view = FeatureView(
        name=name,
        entities=[number],
        schema=[Field(name=feature, dtype=kind) for feature, kind in features.items()],
        source=PushSource(name=f"{name}_push", batch_source=history),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Feast(repo_path=str(feast.repo_path)).apply([number, view])


ANA = Principal("ana", frozenset({Role.DATA_SCIENTIST}), "data-science")


class AppliedViewsContract:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # a registry that is not a file is read again this often
        monkeypatch.setattr(definitions, "_READ_SECONDS", 0.0)

    async def test_a_view_applied_by_somebody_is_found_by_whoever_asks_for_it(
        self, store: FeatureStore, feast: Feast
    ) -> None:
        assert "young" not in store.views()
        apply(feast, "young", {"age": Int64})
        found = await service.retrieve(store, ANA, ["young:age"], [1])
        assert found.statuses == {"age": ["NOT_FOUND"]}
        assert "number" in {entity.name for entity in store.entities()}

    async def test_and_is_listed(self, store: FeatureStore, feast: Feast) -> None:
        assert "listed" not in store.views()
        apply(feast, "listed", {"age": Int64})
        assert "listed" in {view.name for view in (await service.list_views(store, ANA)).feature_views}

    async def test_what_others_applied_is_kept_when_the_platform_writes_the_registry(self, feast: Feast) -> None:
        repo = Path(feast.repo_path)
        ours, others = opening.open_repository(repo), opening.open_repository(repo)
        # each has read the registry, and then somebody applies a view
        read = [(one, one.get_feature_view(name)) for one, name in ((ours, "visits"), (others, "customers"))]
        apply(feast, "meanwhile", {"age": Int64})
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        for one, view in read:
            one.registry.apply_materialization(view, one.project, until - timedelta(days=2), until)
        found = {view.name: view for view in opening.open_repository(repo).list_feature_views(allow_cache=False)}
        assert {"meanwhile", "visits", "customers"} <= found.keys()
        assert {found[name].most_recent_end_time for name in ("visits", "customers")} == {until}

    async def test_every_type_is_pushed_and_read_or_refused_by_name(self, store: FeatureStore, feast: Feast) -> None:
        apply(feast, "everything", {name: kind for name, (kind, _, _) in TYPES.items()})
        await store.refresh()
        rows = {name: [pushed, None] for name, (_, pushed, _) in TYPES.items()}
        assert await store.push("everything", {"number": [1, 2], **rows}) == 2
        found = await store.online([("everything", name) for name in TYPES], {"number": [1, 2]})
        assert found.columns == {name: [read, None] for name, (_, _, read) in TYPES.items()}
        assert {tuple(states) for states in found.statuses.values()} == {("PRESENT", "NULL")}

    @pytest.mark.parametrize(
        "kind",
        [Map, Array(Array(Int64)), Struct({"a": Int64}), ZonedTimestamp],
        ids=["map", "nested", "struct", "zoned"],
    )
    async def test_a_type_that_json_cannot_carry_is_named(self, store: FeatureStore, feast: Feast, kind: Any) -> None:
        apply(feast, "exotic", {"odd": kind, "plain": Int64})
        await store.refresh()
        with pytest.raises(RowsNotValid) as refused:
            await store.push("exotic", {"number": [1], "odd": [{}], "plain": [1]})
        assert f"Column 'odd' is of type {kind}, which cannot be pushed" in refused.value.detail

    @pytest.mark.parametrize("key", [2**63, -(2**63) - 1, 10**40, str(10**39), "1" * 400, "x", "1.5", "1_0", ""])
    async def test_a_key_that_does_not_fit_is_named(self, store: FeatureStore, feast: Feast, key: Any) -> None:
        apply(feast, "keyed", {"age": Int64})
        await store.refresh()
        for call in (
            store.online([("keyed", "age")], {"number": [1, key]}),
            store.push("keyed", {"number": [1, key], "age": [1, 1]}),
        ):
            with pytest.raises(KeysNotValid, match="'number' is a whole number of 64 bits; key 1: "):
                await call
        assert (await store.online([("keyed", "age")], {"number": [1]})).columns == {"age": [None]}

    async def test_the_largest_keys_are_keys(self, store: FeatureStore, feast: Feast) -> None:
        apply(feast, "keyed", {"age": Int64})
        await store.refresh()
        keys = [2**63 - 1, str(-(2**63))]
        assert await store.push("keyed", {"number": keys, "age": [7, 8]}) == 2
        assert (await store.online([("keyed", "age")], {"number": keys})).columns == {"age": [7, 8]}


class TestOnSqlite(OnSqlite, AppliedViewsContract):
    pass


class TestOnRedis(OnRedis, AppliedViewsContract):
    pass


class TestOnElastiCacheAndS3(OnElastiCacheAndS3, AppliedViewsContract):
    pass


class TestOnDynamoDbAndS3(OnDynamoDbAndS3, AppliedViewsContract):
    pass
