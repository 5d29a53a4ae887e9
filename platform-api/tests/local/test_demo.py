"""The demo in a feature repository: it makes its own, leaves everybody else's alone, and survives being killed or doubled."""

import hashlib
import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.local import feature_project
from mlops_platform.local.churn import events, place, project
from mlops_platform.settings import Settings

from . import dying_demo
from .dying_demo import CUSTOMERS

BEFORE = feature_project.EMPTY.replace("project: features", "project: churn")
REF = ("customer_features", "total_purchases")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "CUSTOMERS", CUSTOMERS)
    monkeypatch.setattr(project, "purchases", lambda end: events.purchases(end, CUSTOMERS))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", _env_file=None)


@pytest.fixture
def repo(settings: Settings) -> Path:
    return settings.feast_folder


def prepare(settings: Settings) -> list[str]:
    said: list[str] = []
    project.prepare(settings, said.append)
    return said


def contents(folder: Path) -> dict[str, str]:
    """Return every file with a digest of what is in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def grow_old(folder: Path, days: int = 30) -> str:
    """Make the marker say that the demo was prepared long ago."""
    marker = folder / place.MARKER
    end = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "end": end}))
    return end


def apply_own_view(repo: Path) -> None:
    """What a person does with Feast's own tools in the platform's repository."""
    path = repo / "own.parquet"
    pd.DataFrame({"shop": [1], "event_timestamp": [datetime.now(UTC)], "size": [7]}).to_parquet(path)
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64)
    source = FileSource(path=str(path.absolute()), timestamp_field="event_timestamp")
    view = FeatureView(name="shops", entities=[shop], schema=[Field(name="size", dtype=Int64)], source=source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FeatureStore(repo_path=str(repo)).apply([shop, view])


async def purchases_of(repo: Path, *customers: str) -> list[Any]:
    return (await FeastStore(repo).online([REF], {"customer_id": list(customers)})).columns[REF[1]]


async def test_a_new_home_gets_the_demo_and_keeps_it(settings: Settings, repo: Path) -> None:
    assert prepare(settings)[-1] == "features of every customer are online"
    assert all(count > 0 for count in await purchases_of(repo, "customer_0", "customer_19"))
    table = project.training_set(settings)
    assert len(table) == CUSTOMERS
    before = contents(repo)
    assert prepare(settings) == ["the churn project is prepared"]
    assert contents(repo) == before


async def test_a_home_that_was_moved_still_has_its_training_set(settings: Settings, tmp_path: Path) -> None:
    prepare(settings)
    settings.home.rename(tmp_path / "elsewhere")
    assert len(project.training_set(Settings(home=tmp_path / "elsewhere", _env_file=None))) == CUSTOMERS


class TestSomebodyElsesRepository:
    """Nothing in it changes, and one line says why there is no demo."""

    def own_configuration(self, repo: Path) -> None:
        (repo / "feature_store.yaml").write_text(BEFORE.replace("project: churn", "project: fraud"))
        (repo / "data" / "registry.db").write_bytes(b"our registry")
        (repo / "data" / "our_history.parquet").write_bytes(b"our only copy")

    def own_configuration_in_an_old_demo(self, repo: Path) -> None:
        self.own_configuration(repo)
        (repo / "data" / "prepared.json").write_text('{"end": "2020-01-01T00:00:00+00:00"}')

    def own_view_in_the_platforms_empty_project(self, repo: Path) -> None:
        feature_project.ensure(repo)
        apply_own_view(repo)
        (repo / "own.parquet").unlink()

    def own_file_in_the_platforms_empty_project(self, repo: Path) -> None:
        feature_project.ensure(repo)
        (repo / "data" / "purchases.parquet").write_bytes(b"our only copy")

    def own_demo_folder(self, repo: Path) -> None:
        feature_project.ensure(repo)
        (repo / "demo").mkdir()
        (repo / "demo" / "purchases.parquet").write_bytes(b"our demo")

    def broken_registry(self, repo: Path) -> None:
        feature_project.ensure(repo)
        (repo / "data" / "registry.db").write_bytes(b"\xff\xff half of it")

    @pytest.mark.parametrize(
        "kind",
        [
            "own_configuration",
            "own_configuration_in_an_old_demo",
            "own_view_in_the_platforms_empty_project",
            "own_file_in_the_platforms_empty_project",
            "own_demo_folder",
            "broken_registry",
        ],
    )
    def test_it_stays_as_it_is(self, settings: Settings, repo: Path, kind: str) -> None:
        (repo / "data").mkdir(parents=True)
        getattr(self, kind)(repo)
        before = contents(repo)
        said = prepare(settings)
        assert len(said) == 1
        assert said[0].startswith("the demo was left out: ")
        after = {name: digest for name, digest in contents(repo).items() if name in before}
        assert after == before
        assert {Path(name).name for name in contents(repo).keys() - before} <= {".prepare.lock"}
        with pytest.raises(project.DemoMissing, match="mlops up"):
            project.training_set(settings)

    def test_files_without_a_project_get_an_empty_one_beside_them(self, settings: Settings, repo: Path) -> None:
        repo.mkdir(parents=True)
        (repo / "features.py").write_text("# ours")
        assert "features.py was not made by it" in prepare(settings)[0]
        assert (repo / "features.py").read_text() == "# ours"
        assert (repo / "feature_store.yaml").read_text() == feature_project.EMPTY


async def test_an_empty_project_of_the_platform_takes_the_demo(settings: Settings, repo: Path) -> None:
    feature_project.ensure(repo)
    # a platform without a demo reads the registry, and Feast then makes an empty one
    await FeastStore(repo).ping()
    assert prepare(settings)[-1] == "features of every customer are online"


def old_demo(repo: Path) -> None:
    """The layout of commit 5915d22: beside the registry, absolute paths, Feast's own stores."""
    data = repo / "data"
    data.mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(BEFORE)
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    bought = events.purchases(end, CUSTOMERS)
    bought.to_parquet(data / "purchases.parquet", index=False)
    project.history(bought, end, [f"customer_{number}" for number in range(CUSTOMERS)]).to_parquet(
        data / "customer_features.parquet", index=False
    )
    from mlops_platform.local.churn import definitions

    store = FeatureStore(repo_path=str(repo))
    definitions.apply(store, str((data / "customer_features.parquet").absolute()))
    store.materialize(end - timedelta(days=1), datetime.now(UTC))
    (data / "prepared.json").write_text(json.dumps({"end": end.isoformat()}))


@pytest.mark.parametrize("layout", ["new", "of commit 5915d22"])
async def test_an_old_demo_is_refreshed_in_its_own_files_only(settings: Settings, repo: Path, layout: str) -> None:
    if layout == "new":
        prepare(settings)
        folder = repo / "demo"
    else:
        old_demo(repo)
        folder = repo / "data"
        assert prepare(settings) == ["the churn project is prepared"]
        assert len(project.training_set(settings)) == CUSTOMERS
    apply_own_view(repo)
    (folder / "notes.txt").write_text("mine")
    store = FeastStore(repo)
    row = {name: [4711] for name in project.FEATURES}
    await store.push("customer_features", {**row, "customer_id": ["customer_3"]})
    await store.materialize(["shops"], datetime.now(UTC))
    kept = {name: digest for name, digest in contents(repo).items() if Path(name).name not in _REPLACED}
    before = grow_old(folder)
    assert prepare(settings)[-1] == "features of every customer are online"
    assert json.loads((folder / place.MARKER).read_text())["end"] > before
    now_there = contents(repo)
    assert {name: now_there.get(name) for name in kept} == kept
    again = FeastStore(repo)
    assert {"shops", "customer_features"} == again.views().keys()
    assert (await again.online([("shops", "size")], {"shop": [1]})).columns == {"size": [7]}
    assert (await purchases_of(repo, "customer_3"))[0] == 4711, "a newer event of somebody is not overwritten"
    assert len(project.training_set(settings)) == CUSTOMERS


# what a refresh changes: its own files, and its own entries in the registry and the online store
_REPLACED = frozenset({place.MARKER, place.EVENTS, place.HISTORY, "registry.db", "online.db"})


@pytest.mark.parametrize("change", ["removed", "changed"])
def test_a_view_that_somebody_took_over_is_left_alone(settings: Settings, repo: Path, change: str) -> None:
    prepare(settings)
    store = FeatureStore(repo_path=str(repo))
    if change == "removed":
        store.delete_feature_view("customer_features")
    else:
        view = store.get_feature_view("customer_features")
        view.features.append(Field(name="mine", dtype=Float64))
        store.registry.apply_feature_view(view, store.project)
    grow_old(repo / "demo")
    before = contents(repo)
    assert "somebody changed or removed the view" in prepare(settings)[0]
    assert contents(repo) == before


# before the marker, a file, the registry or the features are written
EVERYWHERE = [("write", 1), ("write", 2), ("fsync", 1), ("fsync", 5), ("_apply", 1), ("_materialize", 1)]
FIRST = [*EVERYWHERE, ("microseconds", 30), *(("replace", number) for number in (1, 2, 3, 4, 5, 7, 9))]
REFRESH = [*EVERYWHERE, ("microseconds", 30), *(("replace", number) for number in range(1, 7))]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "call"), FIRST)
async def test_a_demo_killed_halfway_is_finished_by_the_next_run(
    settings: Settings, repo: Path, function: str, call: int
) -> None:
    assert dying_demo.killed(settings.home, function, call)
    assert prepare(settings)[-1] in {"features of every customer are online", "the churn project is prepared"}
    assert all(count > 0 for count in await purchases_of(repo, "customer_0", "customer_19"))
    assert len(project.training_set(settings)) == CUSTOMERS


@pytest.mark.slow
@pytest.mark.parametrize(("function", "call"), REFRESH)
async def test_a_refresh_killed_halfway_loses_nothing_and_is_finished_by_the_next_run(
    settings: Settings, repo: Path, function: str, call: int
) -> None:
    prepare(settings)
    apply_own_view(repo)
    await FeastStore(repo).materialize(["shops"], datetime.now(UTC))
    grow_old(repo / "demo")
    assert dying_demo.killed(settings.home, function, call)
    assert len(project.training_set(settings)) == CUSTOMERS, "the demo can be used in between"
    for _ in range(2):
        store = FeastStore(repo)
        assert {"shops", "customer_features"} == store.views().keys()
        assert (await store.online([("shops", "size")], {"shop": [1]})).columns == {"size": [7]}
        assert all(count > 0 for count in await purchases_of(repo, "customer_0", "customer_19"))
        assert prepare(settings)[-1] in {"features of every customer are online", "the churn project is prepared"}


@pytest.mark.slow
async def test_two_at_once_make_one_demo(settings: Settings, repo: Path) -> None:
    both = [dying_demo.start(settings.home) for _ in range(2)]
    for process, _ in both:
        process.join(100)
    assert [process.exitcode for process, _ in both] == [0, 0]
    said = [[sentences.get(timeout=5) for _ in range(sentences.qsize())] for _, sentences in both]
    assert sorted(one[-1] for one in said) == ["features of every customer are online", "the churn project is prepared"]
    assert all(count > 0 for count in await purchases_of(repo, "customer_0", "customer_19"))
