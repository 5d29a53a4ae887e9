"""One revision that cannot be loaded, or whose inputs have odd names, is nobody else's trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from mlops_platform.adapters.local.bundles import LocalBundles
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.builds.bundles import bundle_folder
from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.predictions import routing
from mlops_platform.predictions.bundles import fetch_bundles
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.routing import NotLoaded, Target
from tests.support.trust import EveryBuild, nothing_revoked

from ..support.trust import routing_table
from .small_bundles import bundle, halves, live

ODD = 'say "x" \\ \t \n {€}/'


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError("only predictions are asked for")


class Served:
    """A gateway over routes that a test changes."""

    def __init__(self, services: BuiltServices, token: str, root: Path) -> None:
        self.bundles = LocalBundles(root)
        self.snapshot = RoutingSnapshot(0, ())
        self.gateway = Gateway(_nothing, services, self._routes, self._generation, nothing_revoked, EveryBuild())
        self.read = 0
        transport = httpx.ASGITransport(self.gateway)
        self.client = httpx.AsyncClient(
            transport=transport, base_url="http://platform", headers={"authorization": f"Bearer {token}"}
        )

    async def _routes(self) -> RoutingSnapshot:
        self.read += 1
        return fetch_bundles(self.snapshot, self.bundles)

    async def _generation(self) -> int:
        return self.snapshot.generation

    async def route(self, *revisions: Any) -> None:
        self.snapshot = RoutingSnapshot(self.snapshot.generation + 1, revisions)
        await self.gateway.refresh()

    async def predict(self, name: str, rows: Any) -> httpx.Response:
        return await self.client.post("/api/v1/predict", json={"model_name": name, "input_data": rows})


@pytest.fixture
async def served(
    services: BuiltServices, token_for: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    made = Served(services, token_for("ana@company.com", "data-scientist"), tmp_path)
    # the tests say when routes are read
    monkeypatch.setattr(made.gateway.following, "follow", asyncio.Event().wait)
    yield made
    await made.client.aclose()
    await made.gateway.stop()


def failures(name: str) -> float:
    return REGISTRY.get_sample_value("revision_load_failures_total", {"model_name": name}) or 0.0


async def test_a_model_with_odd_input_names_answers_in_every_layout_and_so_do_others(
    served: Served, tmp_path: Path
) -> None:
    odd = live("odd", bundle(tmp_path / "odd", [ODD, "b"]))
    await served.route(odd, live("later", bundle(tmp_path / "later", ["x"])))
    row = {ODD: 3, "b": 1.0}
    for rows, expected in (
        (row, [[1.5, 0.5]]),
        ([row, {"b": 4.0, ODD: 2.0}], [[1.5, 0.5], [1.0, 2.0]]),
        ({ODD: [3.0, 2.0], "b": [1.0, 4.0]}, [[1.5, 0.5], [1.0, 2.0]]),
    ):
        answer = await served.predict("odd", rows)
        assert (answer.status_code, answer.json()["prediction"]) == (200, expected)
    for wrong in ({ODD: "text", "b": 1.0}, {"b": 1.0}, {**row, "c": 1.0}, {ODD: 10**400, "b": 1.0}, []):
        assert (await served.predict("odd", wrong)).status_code == 422
    assert (await served.predict("later", {"x": 1.0})).json()["prediction"] == [0.5]


@pytest.mark.parametrize("kind", ["no graph", "not fetched", "changed", "unreadable"])
async def test_a_revision_that_cannot_be_loaded_answers_503_and_others_go_live(
    served: Served, tmp_path: Path, kind: str
) -> None:
    folder = bundle(tmp_path / "bad", ["x"], b"this is no graph" if kind == "no graph" else None)
    if kind == "not fetched":
        (folder / "bundle.json").unlink()
    elif kind == "changed":
        (folder / "model.onnx").write_bytes(halves() + b" ")
    elif kind == "unreadable":
        (folder / "bundle.json").write_text('{"flavor": ["half a descript')
    before = failures("bad")
    await served.route(live("bad", folder), live("good", bundle(tmp_path / "good", ["x"])))
    assert (await served.predict("good", {"x": 1.0})).json()["prediction"] == [0.5]
    refused = await served.predict("bad", {"x": 1.0})
    assert (refused.status_code, refused.json()["title"]) == (503, "The revision cannot be loaded")
    assert "bad" in refused.json()["detail"]
    assert failures("bad") == before + 1
    # what a rollout is judged by
    served.gateway.flush()
    counted = {"revision": "bad", "model_name": "bad", "status": "503"}
    assert REGISTRY.get_sample_value("model_revision_requests_total", counted)
    # and it is no obstacle to what is deployed afterwards
    await served.route(*served.snapshot.revisions, live("later", bundle(tmp_path / "later", ["x"])))
    assert (await served.predict("later", {"x": 1.0})).status_code == 200


async def test_it_is_tried_again_with_growing_patience_until_it_answers(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(routing.time, "monotonic", lambda: now)
    folder = bundle(tmp_path / "bad", ["x"], b"this is no graph")
    await served.route(live("bad", folder))
    tried = []
    for _ in range(200):
        now += 1.0
        read = served.read
        await served.gateway.refresh()
        if served.read > read:
            tried.append(now - 1_000.0)
    assert tried == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]
    bundle(folder, ["x"])
    now += 60.0
    await served.gateway.refresh()
    assert (await served.predict("bad", {"x": 1.0})).json()["prediction"] == [0.5]
    assert not served.gateway.table.is_due()


async def test_its_share_of_requests_fails_and_the_other_revision_keeps_its_own(served: Served, tmp_path: Path) -> None:
    old = live("m", bundle(tmp_path / "old", ["x"]), revision_id="old", traffic=0.5)
    new = live("m", bundle(tmp_path / "new", ["x"], b""), revision_id="new", version=2, revision_number=2, traffic=0.5)
    await served.route(old, new)
    assert {(await served.predict("m", {"x": 1.0})).status_code for _ in range(60)} == {200, 503}
    asked = {"model_name": "m", "model_version": 1, "input_data": {"x": 1.0}}
    assert (await served.client.post("/api/v1/predict", json=asked)).status_code == 200


def test_only_the_revision_that_was_not_loaded_is_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = live("good", bundle(tmp_path / "good", ["x"])), live("bad", bundle(tmp_path / "bad", ["x"], b""))
    table, snapshot = routing_table(), RoutingSnapshot(1, (good, bad))
    table.swap(snapshot, table.load(snapshot))
    loaded: list[str] = []
    original = routing._target
    monkeypatch.setattr(
        routing,
        "_target",
        lambda live, files, recorder: (loaded.append(live.model_name), original(live, files, recorder))[1],
    )
    monkeypatch.setattr(routing.time, "monotonic", lambda: float("inf"))
    found = table.load(RoutingSnapshot(1, (replace(good, traffic=0.5), bad)))
    assert loaded == ["bad"]
    assert isinstance(found["good"], Target)
    assert isinstance(found["bad"], NotLoaded)


@pytest.mark.parametrize("name", ["m" * 255, "é" * 200, "a b/../c", 'say "x"\n', "..", ""])
def test_a_bundles_folder_is_short_and_plain_whatever_the_models_name(tmp_path: Path, name: str) -> None:
    folder = bundle_folder(tmp_path, f"sha256:{'a' * 64}", name, 123_456)
    assert folder.parent == tmp_path
    # what is built beside it, and fetched from S3, adds to the name
    (tmp_path / f".building-{folder.name}-0123456789abcdef01234567").mkdir()
    assert folder != bundle_folder(tmp_path, f"sha256:{'a' * 64}", name + "x", 123_456)


def test_an_ordinary_name_is_the_folders_own(tmp_path: Path) -> None:
    assert bundle_folder(tmp_path, f"sha256:{'a' * 64}", "churn_v2.1", 3).name == f"{'a' * 24}-churn_v2.1-3"
