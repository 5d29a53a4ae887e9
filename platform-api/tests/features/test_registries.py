"""Definitions in files and in SQL: what others apply is found, what they applied is never lost, half of it is never read."""

import asyncio
import threading
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore
from feast.feature_view import FeatureViewState
from feast.protos.feast.core.Registry_pb2 import Registry

from mlops_platform.adapters.feast import definitions, opening
from mlops_platform.adapters.feast.registry import RegistryHalfWritten, WholeFileRegistryStore
from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.features import service
from mlops_platform.features.interfaces import FeatureStoreUnavailable

from .repository import apply, make


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    make(tmp_path / "repo")
    apply(tmp_path / "repo", "ages", "age")
    return tmp_path / "repo"


@pytest.mark.parametrize("registry", ["data/registry.db", "elsewhere/registry.pb", "sql"])
async def test_what_is_applied_and_removed_elsewhere_is_followed(
    tmp_path: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "_READ_SECONDS", 0.0)
    repo = tmp_path / "repo"
    sql = f"\n  registry_type: sql\n  path: sqlite:///{tmp_path}/registry.sqlite"
    make(repo, sql if registry == "sql" else registry)
    apply(repo, "ages", "age")
    store = FeastStore(repo)
    assert store.views().keys() == {"ages"}
    apply(repo, "sizes", "size")
    await store.refresh()
    assert store.views().keys() == {"ages", "sizes"}
    apply(repo, "sizes", "size", "weight")
    await store.refresh()
    assert store.views()["sizes"].features.keys() == {"size", "weight"}
    FeatureStore(repo_path=str(repo)).delete_feature_view("ages")
    await store.refresh()
    assert store.views().keys() == {"sizes"}


async def test_a_file_that_did_not_change_is_not_read(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeastStore(repo)
    store.views()

    def never(_store: Any) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(definitions, "read_definitions", never)
    await store.refresh()


async def test_a_registry_elsewhere_is_read_every_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = tmp_path / "repo"
    make(repo, f"\n  registry_type: sql\n  path: sqlite:///{tmp_path}/registry.sqlite")
    apply(repo, "ages", "age")
    store = FeastStore(repo)
    store.views()
    apply(repo, "sizes", "size")
    await store.refresh()
    assert store.views().keys() == {"ages"}, "it was read a moment ago"
    monkeypatch.setattr(definitions, "_READ_SECONDS", 0.0)
    await store.refresh()
    assert store.views().keys() == {"ages", "sizes"}


async def test_while_the_registry_is_away_what_is_known_stays(repo: Path) -> None:
    store = FeastStore(repo)
    store.views()
    file = repo / "data" / "registry.db"
    kept = file.read_bytes()
    file.write_bytes(kept[:50])
    with pytest.raises(FeatureStoreUnavailable) as refused:
        await store.refresh()
    assert isinstance(refused.value.__cause__, RegistryHalfWritten)
    assert store.views().keys() == {"ages"}
    file.write_bytes(b"")
    with pytest.raises(FeatureStoreUnavailable):
        await store.refresh()
    assert store.views().keys() == {"ages"}, "a file being written is not an empty registry"
    file.write_bytes(kept)
    apply(repo, "sizes", "size")
    await store.refresh()
    assert store.views().keys() == {"ages", "sizes"}


async def test_a_view_without_its_entity_does_not_hide_the_others(repo: Path) -> None:
    apply(repo, "sizes", "size")
    file = repo / "data" / "registry.db"
    registry = Registry.FromString(file.read_bytes())
    poisoned = next(view for view in registry.feature_views if view.spec.name == "sizes")
    poisoned.spec.entities[:] = ["nobody"]
    poisoned.spec.entity_columns[0].name = "nobody_id"
    file.write_bytes(registry.SerializeToString())
    assert FeastStore(repo).views().keys() == {"ages"}


async def test_a_view_applied_while_another_is_materialised_is_kept(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeastStore(repo)
    opened = opening.open_repository(repo)
    writes = type(opened._get_provider().online_store)
    real = writes.online_write_batch

    def meanwhile(*arguments: Any, **named: Any) -> None:
        apply(repo, "sizes", "size")
        apply(repo, "ages", "age", "weight")
        real(*arguments, **named)

    monkeypatch.setattr(writes, "online_write_batch", meanwhile)
    assert await store.materialize(["ages"], datetime.now(UTC)) == ["ages"]
    await store.refresh()
    assert store.views().keys() == {"ages", "sizes"}
    assert store.views()["ages"].features.keys() == {"age", "weight"}
    assert (await store.materialized())["ages"] is not None
    # not "materialising" for ever, which Feast's own tools would not read
    asked = pd.DataFrame({"number": [1], "event_timestamp": [datetime.now(UTC)]})
    assert len(FeatureStore(repo_path=str(repo)).get_historical_features(asked, ["ages:age"]).to_df()) == 1


async def test_a_view_whose_materialisation_was_killed_can_be_read_and_materialised(repo: Path) -> None:
    store = FeastStore(repo)
    await store.materialize(["ages"], datetime.now(UTC))
    FeatureStore(repo_path=str(repo)).set_feature_view_state("ages", FeatureViewState.MATERIALIZING)
    asked = pd.DataFrame({"number": [1], "event_timestamp": [datetime.now(UTC)]})
    assert (await store.historical(["ages:age"], asked))["age"].tolist() == [1]
    assert await store.materialize(["ages"], datetime.now(UTC)) == ["ages"]
    assert (await store.online([("ages", "age")], {"number": [1]})).columns == {"age": [1]}


async def test_two_materialisations_at_once_are_both_remembered(repo: Path) -> None:
    names = ["ages", "sizes", "weights", "colours"]
    for name in names[1:]:
        apply(repo, name, "one")
    # as two processes would
    stores = [FeastStore(repo) for _ in names]
    now = datetime.now(UTC)
    await asyncio.gather(*(store.materialize([name], now) for store, name in zip(stores, names, strict=True)))
    found = await FeastStore(repo).materialized()
    assert [name for name in names if found[name] is None] == []


def test_a_reader_never_sees_half_a_file(repo: Path) -> None:
    config = opening.open_repository(repo).config
    registry = Registry.FromString((repo / "data" / "registry.db").read_bytes())
    names = {view.spec.name for view in registry.feature_views}
    stop = threading.Event()

    def write() -> None:
        writer = WholeFileRegistryStore(config.registry, repo)
        while not stop.is_set():
            proto = writer.get_registry_proto()
            proto.projects[0].spec.tags["size"] = "x" * 50_000
            writer.update_registry_proto(proto)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        reader = WholeFileRegistryStore(config.registry, repo)
        for _ in range(300):
            assert {view.spec.name for view in reader.get_registry_proto().feature_views} == names
    finally:
        stop.set()
        thread.join()


async def test_the_follower_takes_new_views_and_outlives_a_registry_that_is_away(repo: Path) -> None:
    store = FeastStore(repo)
    store.views()
    file = repo / "data" / "registry.db"
    kept = file.read_bytes()
    file.write_bytes(b"\xff")
    following = asyncio.create_task(service.follow_definitions(store, 0.01))
    try:
        refused = asyncio.get_running_loop().time() + 0.2
        while asyncio.get_running_loop().time() < refused:
            await asyncio.sleep(0.01)
        assert not following.done()
        file.write_bytes(kept)
        apply(repo, "sizes", "size")
        async with asyncio.timeout(10):
            while "sizes" not in store.views():
                await asyncio.sleep(0.01)
    finally:
        following.cancel()


@pytest.mark.parametrize(
    "text",
    ["registry: [", "- a list", "project: x\nprovider: local\nregistry: data/registry.db\nonline_store: null\n", ""],
)
async def test_a_file_that_is_no_configuration_is_said_as_such(repo: Path, text: str) -> None:
    (repo / "feature_store.yaml").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(FeatureStoreUnavailable):
            await FeastStore(repo).ping()
