"""What only the SQLite store has: Feast's own writers beside ours, zones of machines, older files, half a batch."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore

from mlops_platform.adapters.feast.sqlite import NewestSqliteOnlineStore, SqliteOnlineStore
from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.features.interfaces import FeatureStoreUnavailable, OnlineStoreUnordered

from .repository import NOON, apply, make


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    make(tmp_path / "repo")
    apply(tmp_path / "repo", "ages", "age")
    return tmp_path / "repo"


@pytest.fixture(params=["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


async def push(store: FeastStore, age: int, after: timedelta) -> None:
    await store.push("ages", {"number": [1], "age": [age], "event_timestamp": [(NOON + after).isoformat()]})


async def age(store: FeastStore) -> tuple[Any, Any]:
    found = await store.online([("ages", "age")], {"number": [1]})
    return found.columns["age"][0], found.timestamps["age"][0]


@pytest.mark.usefixtures("zone")
async def test_in_every_zone_event_times_are_those_of_feast(repo: Path) -> None:
    store = FeastStore(repo)
    feast = FeatureStore(repo_path=str(repo))
    row = {"number": [1], "age": [1], "event_timestamp": [pd.Timestamp(NOON)]}
    feast.push("ages_push", pd.DataFrame(row))
    assert await age(store) == (1, NOON)
    await push(store, 2, timedelta(seconds=-1))
    assert await age(store) == (1, NOON), "older than what Feast's own tool wrote"
    await push(store, 3, timedelta(seconds=1))
    assert await age(store) == (3, NOON + timedelta(seconds=1))
    assert feast.get_online_features(["ages:age"], [{"number": 1}]).to_dict()["age"] == [3]
    # Feast's own tool overwrites as it always did; the exact time of the row that is gone counts no more
    feast.push("ages_push", pd.DataFrame(row))
    await push(store, 4, timedelta(milliseconds=500))
    assert (await age(store))[0] == 4


async def test_a_store_with_times_as_text_is_read_and_kept(repo: Path) -> None:
    store = FeastStore(repo)
    await push(store, 1, timedelta())
    with sqlite3.connect(repo / "data" / "online.db") as connection:
        connection.execute("UPDATE shop_ages SET event_ts = ?", [NOON.replace(tzinfo=None).isoformat(" ")])
    await push(store, 2, timedelta(seconds=-1))
    assert await age(store) == (1, NOON)
    await push(store, 3, timedelta(seconds=1))
    assert (await age(store))[0] == 3


async def test_half_a_batch_is_no_batch(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeastStore(repo)
    await push(store, 1, timedelta())
    real = SqliteOnlineStore.online_write_batch

    def dies(self: Any, config: Any, table: Any, data: Any, progress: Any) -> None:
        half = [*data[:1], (data[1][0], {"age": object()}, *data[1][2:])]
        real(self, config, table, half, progress)

    rows = {"number": [1, 2], "age": [7, 8]}
    with monkeypatch.context() as patch:
        patch.setattr(SqliteOnlineStore, "online_write_batch", dies)
        with pytest.raises(AttributeError):
            await store.push("ages", rows)
    assert (await store.online([("ages", "age")], {"number": [1, 2]})).columns == {"age": [1, None]}
    assert await store.push("ages", rows) == 2
    assert (await store.online([("ages", "age")], {"number": [1, 2]})).columns == {"age": [7, 8]}


async def test_a_store_that_cannot_be_written_is_said_as_such(repo: Path) -> None:
    store = FeastStore(repo)
    await push(store, 1, timedelta())
    with sqlite3.connect(repo / "data" / "online.db") as connection:
        connection.execute("DROP TABLE shop_ages")
    with pytest.raises(FeatureStoreUnavailable):
        await push(store, 2, timedelta(seconds=1))


async def test_more_entities_than_sqlite_takes_parameters(repo: Path) -> None:
    store = FeastStore(repo)
    numbers = list(range(1_700))
    for value, after in ((2, 1), (1, 0)):
        at = (NOON + timedelta(seconds=after)).isoformat()
        await store.push("ages", {"number": numbers, "age": [value] * 1_700, "event_timestamp": [at] * 1_700})
    found = await store.online([("ages", "age")], {"number": [0, 499, 500, 1_699]})
    assert found.columns == {"age": [2, 2, 2, 2]}


async def test_a_store_that_overwrites_blindly_is_read_and_not_written(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NewestSqliteOnlineStore, "keeps_newest", False)
    store = FeastStore(repo)
    for write in (store.push("ages", {"number": [1], "age": [1]}), store.materialize(["ages"], NOON)):
        with pytest.raises(OnlineStoreUnordered, match="nothing was written"):
            await write
    assert (await store.online([("ages", "age")], {"number": [1]})).columns == {"age": [None]}
