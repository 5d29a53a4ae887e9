"""What a model process says is counted before it is passed on or logged; tensors state the model's own shape."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.predictions.answers import AnswerForm, AnswersDiffer
from mlops_platform.predictions.predictor import Asked, Predictor
from mlops_platform.predictions.problems import ModelAnswersWrong, ModelFailed
from mlops_platform.predictions.process import ModelProcess

from ..support.data_plane import calling, serving
from ..support.trust import routing_table
from .small_bundles import bundle, live

ROWS: list[tuple[Any, ...]] = [(1.0,), (2.0,), (3.0,)]


@pytest.mark.parametrize(
    ("shape", "answers", "fits"),
    [
        ((), [0.1, 0.2, 0.3], True),
        ((), ["a", "b", "c"], True),
        ((2,), [[1, 2], [3, 4], [5, 6]], True),
        (None, [[1], [2, 3], 4], True),
        ((), [0.5], False),
        ((), [0.1, 0.2, None], False),
        ((), [[1, 2], [3, 4], [5, 6]], False),
        ((2,), [1, 2, 3, 4, 5, 6], False),
        ((2,), [[1, 2], [3, 4], [5]], False),
        ((2,), [[1, 2], [3, 4], [5, None]], False),
        ((), None, False),
        ((), "abc", False),
        (None, [1, 2], False),
    ],
)
def test_answers_are_one_for_each_row_in_the_stated_shape(shape: Any, answers: Any, fits: bool) -> None:
    form = AnswerForm(shape, "FP64")
    if fits:
        form.check(answers, 3)
    else:
        with pytest.raises(AnswersDiffer):
            form.check(answers, 3)


def process_saying(status: int, answer: Any, shape: tuple[int, ...] = ()) -> ModelProcess:
    process = ModelProcess("m", "http://model", ["x"], AnswerForm(shape, "FP64"))
    process._client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(status, content=orjson.dumps(answer))),
        base_url="http://model",
    )
    return process


@pytest.mark.parametrize(
    "answer",
    [
        {"prediction": [0.5], "labels": None},
        {"prediction": [0.5, 0.5, None], "labels": None},
        {"prediction": [0.5] * 6, "labels": None},
        {"prediction": [0.5] * 3, "labels": ["up"]},
        {"labels": None},
    ],
)
async def test_a_process_that_does_not_answer_every_row_is_an_error_of_the_model(answer: Any) -> None:
    with pytest.raises(ModelAnswersWrong) as error:
        await process_saying(200, answer).predict(ROWS)
    assert error.value.status == 500
    with pytest.raises(ModelAnswersWrong):
        await process_saying(500, {"error": "one answer for 3 rows", "reason": "wrong_answers"}).predict(ROWS)
    with pytest.raises(ModelFailed):
        await process_saying(500, {"error": "no", "reason": "model_failed"}).predict(ROWS)
    with pytest.raises(ModelAnswersWrong):
        await process_saying(200, {"shap_values": [[0.1]]}).explain(ROWS)


async def test_a_process_that_answers_every_row_is_passed_on() -> None:
    answer = {"prediction": [[1.0, 2.0]] * 3, "labels": None}
    assert await process_saying(200, answer, (2,)).predict(ROWS) == (answer["prediction"], None, None)


def test_a_row_without_an_answer_is_never_logged(tmp_path: Path) -> None:
    snapshot = RoutingSnapshot(1, (live("m", bundle(tmp_path, ["x"])),))
    target: Any = routing_table().load(snapshot)["m"]
    logged: list[bytes] = []
    kept: Any = SimpleNamespace(hold=lambda record, _rows: logged.append(record))
    parts: Any = SimpleNamespace(prediction_log=kept, bundles=None, registry=None)
    predictor, asked = Predictor(parts, routing_table()), Asked(target, lambda _: ROWS, 10)
    with pytest.raises(ModelAnswersWrong):
        predictor.keep(asked, ROWS, [0.5], None, None, 0.0)
    assert logged == []
    predictor.keep(asked, ROWS[:1], [[0.5, 1.5]], None, None, 0.0)
    # one row's answer is that row's list
    assert [json.loads(record)["predictions"] for record in logged] == [[[0.5, 1.5]]]


@pytest.fixture
async def client(
    services: BuiltServices, token_for: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    pairs = live("pairs", bundle(tmp_path / "pairs", ["a", "b"]))
    flat = live("flattened", bundle(tmp_path / "flat", ["a", "b"], answer={"shape": [], "datatype": "FP64"}))

    token = token_for("ana@company.com", "data-scientist")
    async with serving(services, (pairs, flat), monkeypatch) as gateway, calling(gateway, token) as client:
        yield client


async def test_several_targets_are_one_list_a_row_and_a_tensor_of_their_shape(client: httpx.AsyncClient) -> None:
    body = {"model_name": "pairs", "input_data": [{"a": 2.0, "b": 4.0}, {"a": 6.0, "b": 8.0}]}
    answer = await client.post("/api/v1/predict", json=body)
    assert answer.json()["prediction"] == [[1.0, 2.0], [3.0, 4.0]]
    described = (await client.get("/v2/models/pairs")).json()["outputs"]
    assert described == [{"name": "prediction", "datatype": "FP64", "shape": [-1, 2]}]
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [2.0, 4.0, 6.0, 8.0]}
    [output] = (await client.post("/v2/models/pairs/infer", json={"inputs": [tensor]})).json()["outputs"]
    assert output == {"name": "prediction", "datatype": "FP64", "shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}


async def test_a_model_that_answers_in_another_shape_than_its_bundle_states_is_never_200(
    client: httpx.AsyncClient,
) -> None:
    for rows in ({"a": 2.0, "b": 4.0}, [{"a": 2.0, "b": 4.0}] * 2):
        answer = await client.post("/api/v1/predict", json={"model_name": "flattened", "input_data": rows})
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/model-answers-wrong")
        assert "no answer is passed on" in answer.json()["detail"]
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [2.0, 4.0]}
    assert (await client.post("/v2/models/flattened/infer", json={"inputs": [tensor]})).status_code == 500
