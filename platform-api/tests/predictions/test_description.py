"""The OpenAPI document says what the data plane takes and answers: held against the document itself, path by path."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from starlette.types import Receive, Scope, Send

from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.app import create_control_plane
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions import schemas
from mlops_platform.predictions.description import components, paths
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.operations import OPERATIONS, Operation
from model_server.doors.infer import InferRequest
from model_server.doors.plain import PlainRequest
from model_server.serve.asgi import ModelServerApp
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles
from tests.contracts.feast_backends import make as make_feature_project

from ..support.trust import EveryBuild, nothing_revoked
from .conftest import live

OLD_IDS = {
    "predict",
    "retrieve_features",
    "oip_live",
    "oip_ready",
    "oip_metadata",
    "oip_model_ready",
    "oip_infer",
}
BY_ID = {operation.id: operation for operation in OPERATIONS}
# as explanations are made in a served process: compiling SHAP's loops takes longer than using them
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

VALUES = {"age": 0.5, "income": -1.0}
TENSOR = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [[0.5, -1.0], [1, 2]]}]}
FRAME = {"columns": ["income", "age"], "data": [[-1.0, 0.5]]}
PREDICTIONS: dict[str, dict[str, Any]] = {
    "a regression": {"model_name": "halves", "input_data": {"x": 3.0}},
    "two classes": {"model_name": "two", "input_data": VALUES},
    "two classes, rows": {"model_name": "two", "input_data": [VALUES, VALUES]},
    "three classes, columns": {"model_name": "three", "input_data": {"age": [1, 2], "income": [0.5, 2.5]}},
    "a version by number": {"model_name": "two", "model_version": 1, "input_data": VALUES, "environment": "staging"},
    "an explanation": {"model_name": "two", "input_data": VALUES, "return_explanations": True},
    "an explanation that cannot be had": {"model_name": "bare", "input_data": VALUES, "return_explanations": True},
    "several classes, each explained": {"model_name": "three", "input_data": VALUES, "return_explanations": True},
    "scores": {"model_name": "clusters", "input_data": [VALUES, VALUES]},
    "scores, explained": {"model_name": "clusters", "input_data": VALUES, "return_explanations": True},
    "an entity": {"model_name": "fed", "entity_ids": ["a"]},
}
RETRIEVALS: dict[str, dict[str, Any]] = {
    "every kind of value": {
        "feature_refs": [f"customers:{name}" for name in ("whole", "real", "text", "flag", "moment", "numbers")],
        "entity_ids": ["a", "b", "old", "nobody"],
        "include_metadata": True,
    },
    "two keys": {"feature_refs": ["visits:visits"], "entities": {"customer_id": ["a"], "shop": [1]}},
}
REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "an unknown model": (404, {"model_name": "nobody", "input_data": {}}),
    "a misfit": (422, {"model_name": "two", "input_data": {"age": "old"}}),
    "not the schema": (422, {"model_name": 7}),
    "an entity without values": (422, {"model_name": "fed", "entity_ids": ["b", "nobody"]}),
}


async def _inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the data plane passed on what it answers itself")


@pytest.fixture(scope="module")
def feature_store(tmp_path_factory: pytest.TempPathFactory) -> FeastStore:
    folder = tmp_path_factory.mktemp("feast") / "repo"
    make_feature_project(folder, "  type: sqlite\n  path: data/online.db\n")
    return FeastStore(folder)


@asynccontextmanager
async def serving(bundle: Path, address: Path) -> AsyncIterator[str]:
    config = uvicorn.Config(ModelServerApp(ServedModel(BuiltFiles(bundle))), uds=str(address), log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield str(address)
    server.should_exit = True
    await task


@pytest.fixture
def fed(revision: LiveRevision, tmp_path_factory: pytest.TempPathFactory) -> LiveRevision:
    """The regression of `revision` with its input from the feature store."""
    bundle = tmp_path_factory.mktemp("fed") / "bundle"
    shutil.copytree(revision.folder, bundle)
    text = (bundle / "bundle.json").read_text()
    (bundle / "bundle.json").write_text(text.replace('{"name": "x"', '{"name": "real"'))
    return live("fed", bundle, feature_refs=("customers:real",))


@pytest.fixture
async def data_plane(
    services: BuiltServices,
    revision: LiveRevision,
    fed: LiveRevision,
    classifier: Callable[..., Path],
    clusterer: Path,
    feature_store: FeastStore,
    as_: Callable[..., dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway over real bundles, real model processes and a real feature store."""
    folder = tmp_path_factory.mktemp("s")
    bundles = {"two": classifier(2), "bare": classifier(2, 0), "three": classifier(3), "clusters": clusterer}
    async with AsyncExitStack() as stack:
        at = {name: await stack.enter_async_context(serving(one, folder / name)) for name, one in bundles.items()}
        revisions = (
            revision,
            fed,
            *(live(name, bundles[name], address=at[name]) for name in ("two", "bare", "three")),
            live("clusters", clusterer, engine="process", address=at["clusters"]),
            # nobody listens there
            live("down", classifier(2), address=str(folder / "nobody")),
        )

        async def routes() -> RoutingSnapshot:
            return RoutingSnapshot(1, revisions)

        async def generation() -> int:
            return 1

        gateway = Gateway(
            _inner, replace(services, features=feature_store), routes, generation, nothing_revoked, EveryBuild()
        )
        headers = as_("ana@company.com", "data-scientist")
        transport = httpx.ASGITransport(gateway)
        async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
            yield client
        await gateway.stop()


def strict(schema: Any) -> Any:
    """The schema, refusing what it does not name: an answer must hold nothing that is not described."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {**closed, **{key: strict(part) for key, part in schema.items()}}


DOCUMENT = strict({"paths": paths(), "components": {"schemas": components()}})


def held(operation: Operation, answer: httpx.Response) -> None:
    """Hold an answer against the document: status, content type and every part of the body."""
    responses = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    assert str(answer.status_code) in responses, f"{operation.id} answered {answer.status_code}: {answer.text}"
    content = responses[str(answer.status_code)]["content"]
    assert answer.headers["content-type"] in content
    schema = {**content[answer.headers["content-type"]]["schema"], "components": DOCUMENT["components"]}
    jsonschema.validate(answer.json(), schema)


REQUESTS = [
    *(("predict", what, 200, body) for what, body in PREDICTIONS.items()),
    *(("predict", what, status, body) for what, (status, body) in REFUSED.items()),
    *(("retrieve_features", what, 200, body) for what, body in RETRIEVALS.items()),
    ("retrieve_features", "an unknown view", 404, {"feature_refs": ["nobody:x"], "entity_ids": ["a"]}),
    ("retrieve_features", "no feature", 422, {"feature_refs": ["whole"], "entity_ids": ["a"]}),
    *((f"oip_{kind}infer", "tensors", 200, {**TENSOR, "id": "mine"}) for kind in ("", "version_")),
    *((f"oip_{kind}infer", "no tensors", 422, {"inputs": []}) for kind in ("", "version_")),
    *((f"oip_{kind}metadata", "", 200, None) for kind in ("server_", "", "version_")),
    *((name, "", 200, None) for name in ("oip_live", "oip_ready", "oip_model_ready", "oip_version_ready")),
    *((name, "", 200, None) for name in ("v1_models", "v1_model_ready")),
    *((f"{kind}v1_predict", "instances", 200, {"instances": [VALUES, [1, 2]]}) for kind in ("", "version_")),
    *((f"{kind}invocations", "a frame", 200, {"dataframe_split": FRAME}) for kind in ("", "version_")),
    *((f"{kind}invocations", "no such field", 422, {"dataframe_spilt": FRAME}) for kind in ("", "version_")),
]


@pytest.mark.parametrize(("name", "what", "status", "body"), REQUESTS, ids=lambda part: str(part)[:30])
async def test_answers_are_what_the_document_says(
    data_plane: httpx.AsyncClient, name: str, what: str, status: int, body: dict[str, Any] | None
) -> None:
    operation = BY_ID[name]
    path = operation.path.format(model_name="three", model_version="1")
    answer = await data_plane.request(operation.method, path, json=body)
    assert answer.status_code == status, f"{what}: {answer.text}"
    held(operation, answer)


async def test_the_parts_that_are_not_always_there_were_seen(data_plane: httpx.AsyncClient) -> None:
    """Else the test above would hold answers without them against schemas that do not ask for them."""
    seen: dict[str, Any] = {}
    for body in PREDICTIONS.values():
        answer = (await data_plane.post("/api/v1/predict", json=body)).json()
        seen |= answer | answer.get("explanations", {})
    described = {*schemas.PredictAnswer.__struct_fields__, *schemas.Explanations.__struct_fields__}
    # every model here is explained, so nobody says why one is not
    assert set(seen) == described - {"error", "detail"}
    retrieved = await data_plane.post("/api/v1/features/retrieve", json=RETRIEVALS["every kind of value"])
    assert set(retrieved.json()) == set(schemas.RetrieveAnswer.__struct_fields__)
    down = {"model_name": "down", "input_data": VALUES, "return_explanations": True}
    held(BY_ID["predict"], answer := await data_plane.post("/api/v1/predict", json=down))
    assert answer.status_code == 503


def test_every_operation_was_asked() -> None:
    answered = {name for name, _, status, _ in REQUESTS if status == 200}
    assert answered == set(BY_ID)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
async def test_callers_without_a_token_get_what_the_document_says(
    data_plane: httpx.AsyncClient, operation: Operation
) -> None:
    path = operation.path.format(model_name="two", model_version="1")
    answer = await data_plane.request(operation.method, path, headers={"Authorization": ""})
    assert answer.status_code == (200 if operation.public else 401)
    held(operation, answer)


def test_the_whole_document_is_valid_and_names_each_operation_once(services: BuiltServices) -> None:
    document = create_control_plane(services).openapi()
    validate(document)
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    assert set(ids) >= OLD_IDS
    assert set(document["components"]["schemas"]) >= set(components())


def test_the_data_planes_schemas_take_no_other_rooms_name(
    services: BuiltServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A struct named like a model of the control plane would silently replace its schema."""
    with monkeypatch.context() as without:
        without.setattr("mlops_platform.predictions.description.paths", dict)
        without.setattr("mlops_platform.predictions.description.components", dict)
        control_plane = create_control_plane(services).openapi()
    assert not set(components()) & set(control_plane["components"]["schemas"])
    assert not set(paths()) & set(control_plane["paths"])


# what a caller may write where, good or not
words = st.sampled_from(["customers:whole", "a:b", "whole", "a b:c", ":", "", "x" * 501, "v:" + "f" * 299])
# 1.0 is an integer for JSON Schema, and no id for the decoder: it would be another text than 1
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
keys = words | st.integers(-5, 5) | st.booleans() | st.none() | fractions
REQUEST_BODIES = {
    schemas.RetrieveRequest: st.fixed_dictionaries(
        {"feature_refs": st.lists(words, max_size=3) | st.just(["v:f"] * 201) | words},
        optional={
            "entity_ids": st.lists(keys, max_size=3) | st.just(["a"] * 1_001) | words,
            "entities": st.dictionaries(words, st.lists(keys, max_size=2), max_size=3)
            | st.just({f"key{number}": ["a"] for number in range(11)})
            | st.just({"key": ["a"] * 1_001}),
            "include_metadata": st.booleans() | words,
            "on_missing": st.sampled_from(["null", "error", "zero"]),
            "surprise": st.none(),
        },
    ),
    schemas.PredictRequest: st.fixed_dictionaries(
        {"model_name": words | st.integers()},
        optional={
            "input_data": st.just(VALUES) | st.just([VALUES]) | st.just({"age": [1]}),
            "model_version": words | st.integers(0, 9) | st.floats(0.5, 0.9) | st.none(),
            "environment": st.sampled_from(["staging", "production", "development", None]),
            "entity_ids": st.lists(keys, max_size=3) | st.none() | st.just(["a"] * 10_001),
            "return_explanations": st.booleans() | st.none(),
            "surprise": st.none(),
        },
    ),
    InferRequest: st.fixed_dictionaries(
        {
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {"shape": st.lists(st.integers(-1, 3), max_size=9), "data": st.lists(st.integers(), max_size=3)},
                    optional={"name": words, "datatype": words},
                ),
                max_size=2,
            )
        },
        optional={
            "id": words | st.integers() | st.none(),
            "outputs": st.lists(st.fixed_dictionaries({}, optional={"name": words}), max_size=2) | st.none(),
            "parameters": st.dictionaries(words, keys, max_size=2) | words,
        },
    ),
    PlainRequest: st.fixed_dictionaries(
        {},
        optional={
            "instances": st.just([VALUES]) | st.just([[1, 2]]),
            "inputs": st.just(VALUES),
            "dataframe_split": st.fixed_dictionaries(
                {"data": st.just([[1]])}, optional={"columns": st.lists(keys, max_size=2)}
            )
            | st.none()
            | words,
            "dataframe_records": st.just([VALUES]),
            "params": st.just({}),
            "signature_name": words | st.none(),
            "surprise": st.none(),
        },
    ),
}


@pytest.mark.parametrize("kind", REQUEST_BODIES, ids=lambda kind: kind.__name__)
@settings(max_examples=60)
@given(data=st.data())
def test_the_schema_and_the_decoder_agree_on_every_body(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    body = data.draw(REQUEST_BODIES[kind])
    schema = {"$ref": f"#/components/schemas/{kind.__name__}", "components": {"schemas": components()}}
    try:
        msgspec.json.decode(msgspec.json.encode(body), type=kind)
    except msgspec.ValidationError:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(body, schema)
    else:
        jsonschema.validate(body, schema)
