"""The standard doors beside /api/v1/predict: what of a request they read, and what of it comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.models.interfaces import NotInRegistry, RegistryUnavailable
from mlops_platform.predictions import predictor as predictor_module
from mlops_platform.predictions.aliases import Aliases, is_alias
from mlops_platform.predictions.gateway import Gateway
from tests.support.data_plane import calling, serving

from .small_bundles import bundle, live

ROWS = [2.0, 4.0, 6.0, 8.0]
TENSOR = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": ROWS}
LENGTH = "inference-header-content-length"


class Registry:
    """What a registry says of aliases; `away` while it does not answer."""

    def __init__(self) -> None:
        self.aliases = {("pairs", "champion"): 1, ("pairs", "gone"): 9}
        self.asked = 0
        self.away = False

    async def version_of_alias(self, name: str, alias: str) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise RegistryUnavailable
        if (name, alias) not in self.aliases:
            raise NotInRegistry(f"MLflow has no alias '{alias}' of a model named '{name}'.")
        return self.aliases[name, alias]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def gateway(
    services: BuiltServices, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    revisions: tuple[LiveRevision, ...] = (
        live("pairs", bundle(tmp_path / "pairs", ["a", "b"])),
        live("lists", bundle(tmp_path / "lists", ["a", "b"], extra_inputs="ignore")),
        live("secret-pairs", bundle(tmp_path / "secret", ["a", "b"]), tenant="risk"),
    )

    parts: Any = replace(services, registry=registry)
    async with serving(parts, revisions, monkeypatch) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Gateway, token_for: Callable[..., str]) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(gateway, token_for("ana@company.com", "data-scientist")) as client:
        yield client


async def infer(client: httpx.AsyncClient, model: str = "pairs", **body: Any) -> httpx.Response:
    return await client.post(f"/v2/models/{model}/infer", json={"inputs": [TENSOR], **body})


# --- what comes back


async def test_the_id_and_the_parameters_come_back(client: httpx.AsyncClient) -> None:
    answer = (await infer(client, id="mine", parameters={"trace": "t-1", "binary_data_output": False})).json()
    assert answer["id"] == "mine"
    assert answer["parameters"] == {
        "trace": "t-1",
        "revision": 1,
        "prediction_id": answer["parameters"]["prediction_id"],
    }


async def test_outputs_are_chosen_by_name(client: httpx.AsyncClient) -> None:
    chosen = await infer(client, outputs=[{"name": "prediction"}])
    assert [output["name"] for output in chosen.json()["outputs"]] == ["prediction"]
    wrong = await infer(client, outputs=[{"name": "predictoin"}])
    assert wrong.status_code == 422
    assert "did you mean 'prediction'?" in wrong.json()["error"]
    assert wrong.json()["errors"][0]["pointer"] == "/outputs/0/name"
    twice = await infer(client, outputs=[{"name": "prediction"}] * 2)
    assert (twice.status_code, "asked for twice" in twice.json()["error"]) == (422, True)
    classes = await infer(client, outputs=[{"name": "prediction", "parameters": {"classification": 3}}])
    assert (classes.status_code, "'classification'" in classes.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "prediction", "parameters": {"binary_data": True}}]},
    ],
)
async def test_values_follow_the_json_in_binary_when_that_is_asked_for(
    client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    answer = await infer(client, **more)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers[LENGTH])
    [output] = json.loads(answer.content[:length])["outputs"]
    assert output == {
        "name": "prediction",
        "datatype": "FP64",
        "shape": [2, 2],
        "parameters": {"binary_data_size": 32},
    }
    assert np.frombuffer(answer.content[length:]).tolist() == [1.0, 2.0, 3.0, 4.0]


async def test_the_server_says_what_it_can(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2")).json()["extensions"] == ["binary_tensor_data"]


# --- what is read


async def test_plain_bodies_answer_alike(client: httpx.AsyncClient) -> None:
    bodies: list[Any] = [
        {"instances": [[2.0, 4.0], [6.0, 8.0]]},
        {"instances": [{"a": 2.0, "b": 4.0}, {"b": 8.0, "a": 6.0}]},
        {"inputs": {"a": [2.0, 6.0], "b": [4.0, 8.0]}},
        {"dataframe_split": {"columns": ["b", "a"], "data": [[4.0, 2.0], [8.0, 6.0]], "index": [0, 1]}},
        {"dataframe_records": [{"a": 2.0, "b": 4.0}, {"a": 6.0, "b": 8.0}], "params": {}},
        [[2.0, 4.0], [6.0, 8.0]],
    ]
    for path in ("/v1/models/pairs:predict", "/v1/models/pairs/invocations", "/v1/models/pairs/versions/1:predict"):
        for body in bodies:
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"] == [[1.0, 2.0], [3.0, 4.0]]


REFUSED: dict[str, tuple[Any, str, str]] = {
    "a field that is near": ({"dataframe_spilt": {}}, "did you mean 'dataframe_split'?", "/dataframe_spilt"),
    "no rows": ({}, "none of them", ""),
    "rows twice": ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "instances and inputs", ""),
    "a value": ({"instances": [[1, 2], [1, "x"]]}, "row 1: 'b' must be a number", "/instances/1/b"),
    "an input too many": ({"instances": [{"a": 1, "b": 2, "aa": 3}]}, "did you mean 'a'?", "/instances/0/aa"),
    "params of a model without": ({"instances": [[1, 2]], "params": {"depth": 3}}, "takes none", "/params"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_wrong_with_a_plain_body_is_named(client: httpx.AsyncClient, what: str) -> None:
    body, says, pointer = REFUSED[what]
    answer = await client.post("/v1/models/pairs:predict", json=body)
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["error"]
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_what_is_none_of_the_inputs_is_ignored_where_the_owner_says_so(client: httpx.AsyncClient) -> None:
    rows = [{"a": 2.0, "b": 4.0, "request_id": "r-1"}]
    assert (await client.post("/v1/models/lists:predict", json={"instances": rows})).json()["predictions"] == [
        [1.0, 2.0]
    ]
    body = {"model_name": "lists", "input_data": rows}
    assert (await client.post("/api/v1/predict", json=body)).json()["prediction"] == [[1.0, 2.0]]
    assert (await client.post("/api/v1/predict", json={**body, "model_name": "pairs"})).status_code == 422


async def test_entities_by_parameters_want_features_and_no_inputs(client: httpx.AsyncClient) -> None:
    for ids in (["a", 1], '["a", 1]', "a", 7):
        answer = await infer(client, inputs=[], parameters={"entity_ids": ids})
        assert (answer.status_code, "names no features" in answer.json()["error"]) == (422, True)
    both = await infer(client, parameters={"entity_ids": ["a"]})
    assert both.status_code == 422
    for ids in ([], [1.5], {"a": 1}, "[", True, list(range(10_001)), ["x" * 501]):
        answer = await infer(client, inputs=[], parameters={"entity_ids": ids})
        assert (answer.status_code, "'entity_ids'" in answer.json()["error"]) == (422, True), ids


async def test_a_member_named_twice_is_refused_at_every_door(client: httpx.AsyncClient) -> None:
    bodies = {
        "/api/v1/predict": b'{"model_name": "x", "model_name": "pairs", "input_data": {"a": 1, "b": 2}}',
        "/v2/models/pairs/infer": b'{"inputs": [], "inputs": []}',
        "/v1/models/pairs:predict": b'{"instances": [[1, 2]], "instances": [[3, 4]]}',
    }
    for path, body in bodies.items():
        answer = await client.post(path, content=body)
        assert (answer.status_code, "named twice" in answer.text) == (422, True), answer.text


# --- who is meant


async def test_a_name_that_nobody_has_is_answered_with_the_nearest_this_caller_may_know(
    client: httpx.AsyncClient,
) -> None:
    near = await client.post("/api/v1/predict", json={"model_name": "pairz", "input_data": {}})
    assert (near.status_code, "did you mean 'pairs'?" in near.json()["detail"]) == (404, True)
    for name in ("secret-pairs", "secret-pairz"):
        other = await client.post("/api/v1/predict", json={"model_name": name, "input_data": {}})
        assert other.status_code == 404
        assert "did you mean 'secret-pairs'" not in other.text
    assert (await client.get("/v1/models")).json() == {"models": ["lists", "pairs"]}


async def test_an_alias_is_a_version_at_every_door(client: httpx.AsyncClient, registry: Registry) -> None:
    predict = {"model_name": "pairs", "model_version": "champion", "input_data": {"a": 2.0, "b": 4.0}}
    assert (await client.post("/api/v1/predict", json=predict)).json()["model_version"] == "1"
    path = "/v2/models/pairs/versions/champion"
    assert (await client.post(f"{path}/infer", json={"inputs": [TENSOR]})).json()["model_version"] == "1"
    assert (await client.get(path)).json()["name"] == "pairs"
    plain = await client.post("/v1/models/pairs/versions/champion:predict", json={"instances": [[2, 4]]})
    assert plain.json()["model_version"] == "1"
    assert registry.asked == 1
    for version in ("gone", "nobody"):
        answer = await client.post("/api/v1/predict", json={**predict, "model_version": version})
        assert (answer.status_code, "does not answer" in answer.json()["detail"]) == (404, True)
    foreign = {**predict, "model_name": "secret-pairs"}
    asked = registry.asked
    assert (await client.post("/api/v1/predict", json=foreign)).status_code == 404
    assert registry.asked == asked, "nobody learns of another tenant's aliases by how long an answer takes"


async def test_an_alias_is_followed_when_it_moves_and_kept_while_the_registry_is_away(registry: Registry) -> None:
    clock = [1e6]
    aliases = Aliases(registry, lambda: clock[0])  # type: ignore[arg-type]  # what is asked of a registry here
    found = await asyncio.gather(*(aliases.version("pairs", "champion") for _ in range(20)))
    assert (found, registry.asked) == ([1] * 20, 1)
    registry.aliases["pairs", "champion"] = 2
    clock[0] += 7
    assert await aliases.version("pairs", "champion") == 2
    registry.away = True
    clock[0] += 60
    assert await aliases.version("pairs", "champion") == 2
    with pytest.raises(RegistryUnavailable):
        await aliases.version("pairs", "other")
    registry.away = False
    # between three seconds and six nobody waits, and somebody asks
    clock[0] += 4
    registry.aliases["pairs", "champion"] = 3
    await aliases.version("pairs", "champion")
    await asyncio.sleep(0.01)
    assert await aliases.version("pairs", "champion") == 3


@pytest.mark.parametrize("version", ["latest", "3", "", "a b", "x/y", "ü" * 3])
def test_what_is_no_alias(version: str) -> None:
    assert not is_alias(version)


# --- what takes long


async def test_a_heavy_batch_leaves_the_event_loop_to_others(
    client: httpx.AsyncClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.get("/v2/models/pairs")
    target: Any = gateway.table.models["pairs"].find("pairs", "latest", None, None)
    ran: list[Callable[..., Any]] = []

    async def run_sync(work: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        ran.append(work)
        return await asyncio.to_thread(work, *arguments)

    monkeypatch.setattr(predictor_module.anyio.to_thread, "run_sync", run_sync)
    big = [[float(row), 1.0] for row in range(10_000)]
    answer = await client.post("/v1/models/pairs:predict", json={"instances": big})
    assert answer.json()["predictions"][9_999] == [4_999.5, 0.5]
    assert len(ran) >= 1, "what is large is read in a thread"
    ran.clear()
    # a model that takes a second for a row, as measured
    monkeypatch.setattr(target.onnx, "_one_seconds", 1.0)
    await client.post("/api/v1/predict", json={"model_name": "pairs", "input_data": {"a": 2.0, "b": 4.0}})
    assert len(ran) == 1
