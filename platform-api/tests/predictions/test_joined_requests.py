"""Requests of one model that share a call to its process: each hears its own answer, and nobody hears of another one's rows."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anyio.lowlevel
import httpx
import orjson
import pytest

from mlops_platform.predictions.answers import AnswerForm
from mlops_platform.predictions.problems import InputNotValid, ModelBusy, ModelFailed, ModelProcessDown
from mlops_platform.predictions.process import ModelProcess
from model_server.bundle import InputColumn, Parameter
from model_server.joining import queue as queues
from model_server.joining.may_join import Joining

Saying = Callable[[list[list[float]]], httpx.Response]


class Served:
    """A process that doubles, unless `saying` says otherwise. `calls` has the rows of each call, `params` what came with it."""

    def __init__(self, saying: Saying | None = None, most_rows: int = 64) -> None:
        self.calls: list[list[list[float]]] = []
        self.params: list[Any] = []
        self.ids: list[str | None] = []
        self._saying = saying or doubled
        joining = Joining(most_rows, [InputColumn("x", "double")], [Parameter("depth", "long", 3)])
        self.process = ModelProcess("m", "http://model", ["x"], AnswerForm((), "FP64"), joining)
        self.process._client = httpx.AsyncClient(transport=httpx.MockTransport(self._said), base_url="http://model")

    async def _said(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.calls.append(body["rows"])
        self.params.append(body.get("params"))
        self.ids.append(request.headers.get("x-request-id"))
        # a turn of the loop, as over a socket
        await anyio.lowlevel.checkpoint()
        return self._saying(body["rows"])

    async def ask(self, *values: float, depth: int = 3) -> list[Any]:
        asked = (self.process.predict([(value,)], {"depth": depth}) for value in values)
        return list(await asyncio.gather(*asked, return_exceptions=True))


def answering(status: int, content: Any) -> httpx.Response:
    return httpx.Response(status, content=orjson.dumps(content))


def doubled(rows: list[list[float]]) -> httpx.Response:
    return answering(200, {"prediction": [2 * value for [value] in rows], "labels": [str(value) for [value] in rows]})


def own(*values: float) -> list[Any]:
    return [([2 * value], [str(value)], None) for value in values]


async def test_many_at_once_share_calls_and_each_gets_its_own_answer_and_label() -> None:
    served = Served()
    values = [float(number) for number in range(40)]
    assert await served.ask(*values) == own(*values)
    assert len(served.calls) < 15
    assert sorted(value for call in served.calls for [value] in call) == values
    assert max(map(len, served.calls)) <= 64


async def test_a_model_whose_rows_are_not_proven_independent_is_asked_for_each_request() -> None:
    served = Served(most_rows=0)
    assert await served.ask(1.0, 2.0, 3.0) == own(1.0, 2.0, 3.0)
    assert sorted(served.calls) == [[[1.0]], [[2.0]], [[3.0]]]


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [(422, "bad_input", InputNotValid), (500, "model_failed", ModelFailed)],
)
async def test_a_row_that_is_refused_refuses_its_own_request_only(
    status: int, reason: str, error: type[Exception]
) -> None:
    def refusing(rows: list[list[float]]) -> httpx.Response:
        return answering(status, {"error": "no", "reason": reason}) if [7.0] in rows else doubled(rows)

    found = await Served(refusing).ask(*(float(number) for number in range(12)))
    assert isinstance(found.pop(7), error)
    assert found == own(*(float(number) for number in range(12) if number != 7))


async def test_a_process_that_answers_several_wrongly_is_asked_for_each() -> None:
    def short(rows: list[list[float]]) -> httpx.Response:
        return answering(200, {"prediction": [2 * rows[0][0]], "labels": [str(rows[0][0])]})

    assert await Served(short).ask(1.0, 2.0, 3.0) == own(1.0, 2.0, 3.0)


async def test_a_process_that_ends_is_not_asked_again_for_each_and_the_next_is_answered() -> None:
    def gone(rows: list[list[float]]) -> httpx.Response:
        if [9.0] in rows:
            return doubled(rows)
        raise httpx.ReadError("gone")

    served = Served(gone)
    found = await served.ask(1.0, 2.0, 3.0, 4.0)
    assert all(isinstance(error, ModelProcessDown) for error in found)
    assert len(served.calls) < 4
    assert await served.ask(9.0) == own(9.0)


async def test_params_of_a_request_are_its_own() -> None:
    served = Served()
    found = await asyncio.gather(served.ask(1.0, 2.0), served.ask(3.0, depth=5), served.ask(4.0, 5.0))
    assert found == [own(1.0, 2.0), own(3.0), own(4.0, 5.0)]
    assert [
        (rows, params) for rows, params in zip(served.calls, served.params, strict=True) if params != {"depth": 3}
    ] == [([[3.0]], {"depth": 5})]


async def test_a_busy_process_and_a_full_queue_say_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Served(lambda _: answering(503, {"error": "full", "reason": "busy"}))
    [error] = await busy.ask(1.0)
    assert isinstance(error, ModelBusy)
    assert (error.status, error.retry_after) == (503, 1)
    monkeypatch.setattr(queues, "MOST_WAITING", 4)
    served = Served()
    found = await served.ask(*map(float, range(30)))
    refused = [answer for answer in found if isinstance(answer, ModelBusy)]
    assert refused
    assert all(
        answer == expected
        for answer, expected in zip(found, own(*map(float, range(30))), strict=True)
        if answer not in refused
    )
    assert await served.ask(1.0) == own(1.0)


async def test_requests_to_explain_wait_in_a_queue_with_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_WAITING", 40)
    served = Served(lambda rows: answering(200, {"shap_values": [[value] for [value] in rows]}))
    found = await asyncio.gather(
        *(served.process.explain([(float(number),)]) for number in range(200)), return_exceptions=True
    )
    busy = [answer for answer in found if isinstance(answer, ModelBusy)]
    # the first ones are taken up when the loop comes to it
    assert len(busy) == 200 - 40
    explained = [(number, answer) for number, answer in enumerate(found) if isinstance(answer, dict)]
    assert len(explained) + len(busy) == 200
    assert all(answer == {"shap_values": [[float(number)]]} for number, answer in explained)
    refused = Served(lambda _: answering(422, {"error": "no", "reason": "bad_input"}))
    with pytest.raises(InputNotValid):
        await refused.process.explain([(1.0,)])
