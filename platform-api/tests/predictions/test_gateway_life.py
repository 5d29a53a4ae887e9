"""What the gateway does beside answering: it names requests in the log, hands over counts, lets model processes go."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import structlog
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions import gateway as gateway_module
from mlops_platform.predictions.answers import AnswerForm
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.process import ModelProcess
from mlops_platform.telemetry import tracing
from mlops_platform.telemetry.requests import CURRENT, name_request
from tests.support.trust import EveryBuild, nothing_revoked

from .conftest import live

GOOD = {"model_name": "halves", "input_data": {"x": 3.0}}


class Deployed:
    """What is deployed now, and the gateway that reads it."""

    def __init__(self, services: BuiltServices, *revisions: LiveRevision) -> None:
        self.number, self.revisions = 1, revisions
        self.gateway = Gateway(_nowhere, services, self._routes, self._generation, nothing_revoked, EveryBuild())

    async def becomes(self, *revisions: LiveRevision) -> None:
        self.number, self.revisions = self.number + 1, revisions
        await self.gateway.refresh()

    def process(self, name: str) -> ModelProcess:
        found = self.gateway.table.models[name].find(name, "latest", None, None).process
        assert found
        return found

    async def _routes(self) -> RoutingSnapshot:
        return RoutingSnapshot(self.number, self.revisions)

    async def _generation(self) -> int:
        return self.number


async def _nowhere(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError(scope["path"])


@pytest.fixture
async def deployed(services: BuiltServices, revision: LiveRevision) -> AsyncIterator[Deployed]:
    deployed = Deployed(services, revision)
    yield deployed
    await deployed.gateway.stop()


@pytest.fixture
async def caller(deployed: Deployed, as_: Callable[..., dict[str, str]]) -> AsyncIterator[httpx.AsyncClient]:
    headers = as_("ana@company.com", "data-scientist")
    transport = httpx.ASGITransport(deployed.gateway)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
        yield client


def fails(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


# --- names in the log


async def test_what_is_logged_while_a_model_fails_names_the_request(
    deployed: Deployed, caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await caller.post("/api/v1/predict", json=GOOD)
    target = deployed.gateway.table.models["halves"].find("halves", "latest", None, None)
    monkeypatch.setattr(target.onnx, "predict", fails)
    with capture_logs(processors=[name_request]) as logged:
        answer = await caller.post("/api/v1/predict", json=GOOD, headers={"X-Request-ID": "mine-1"})
        infer = {"inputs": [{"name": "x", "shape": [1], "data": [1]}]}
        await caller.post("/v2/models/halves/infer", json=infer, headers={"X-Request-ID": "mine-2"})
        headers = [(name.lower(), value) for name, value in answer.request.headers.raw]
        short = deployed.gateway.at_once(b"/api/v1/predict", headers, answer.request.content)
    assert (answer.status_code, answer.json()["request_id"]) == (503, "mine-1")
    assert short
    assert [entry["request_id"] for entry in logged if entry["event"] == "model failed"] == [
        "mine-1",
        "mine-2",
        "mine-1",
    ]


async def test_two_requests_at_once_are_logged_under_their_own_ids(
    deployed: Deployed, caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = structlog.get_logger("test")

    async def slowly(*_: object) -> bytes:
        log.info("before")
        await asyncio.sleep(0.01)
        # in a thread too
        await asyncio.to_thread(log.info, "after")
        return b"{}"

    monkeypatch.setattr(gateway_module, "retrieve_raw", slowly)
    with capture_logs(processors=[name_request]) as logged:
        await asyncio.gather(
            *(
                caller.post("/api/v1/features/retrieve", json={}, headers={"X-Request-ID": f"r{number}"})
                for number in range(5)
            )
        )
        log.info("outside")
    ids = [entry.get("request_id") for entry in logged if entry["event"] in {"before", "after", "outside"}]
    assert sorted(ids[:-1]) == sorted([f"r{number}" for number in range(5)] * 2)
    assert ids[-1] is None


async def test_a_defect_is_logged_and_counted_under_the_request_and_the_model(
    deployed: Deployed, caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"method": "POST", "endpoint": "/api/v1/predict", "status": "500", "model_name": "halves"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    monkeypatch.setattr(deployed.gateway._predictor, "keep", fails)
    with capture_logs(processors=[name_request]) as logged:
        answer = await caller.post("/api/v1/predict", json=GOOD, headers={"X-Request-ID": "mine-3"})
    assert (answer.status_code, answer.json()["request_id"]) == (500, "mine-3")
    assert "Input/output" not in answer.text
    assert [entry["request_id"] for entry in logged if "unexpected" in entry["event"]] == ["mine-3"]
    deployed.gateway.flush()
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1


# --- counts


async def test_one_failed_flush_does_not_end_the_flushing(
    deployed: Deployed, caller: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"method": "POST", "endpoint": "/api/v1/predict", "status": "200", "model_name": "halves"}
    failed = asyncio.Event()

    def fails_and_says_so() -> None:
        failed.set()
        fails()

    monkeypatch.setattr(gateway_module, "_FLUSH_SECONDS", 0.01)
    with monkeypatch.context() as patched, capture_logs() as logged:
        patched.setattr(deployed.gateway._services.prediction_log, "flush", fails_and_says_so)
        await deployed.gateway.start()
        async with asyncio.timeout(5):
            await failed.wait()
    assert "counts not handed over" in {entry["event"] for entry in logged}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    await caller.post("/api/v1/predict", json=GOOD)
    async with asyncio.timeout(5):
        while (REGISTRY.get_sample_value("http_requests_total", labels) or 0) == before:
            await asyncio.sleep(0.01)


async def test_a_failed_flush_does_not_keep_the_process_from_ending(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployed.gateway.start()
    monkeypatch.setattr(deployed.gateway._services.prediction_log, "flush", fails)
    await deployed.gateway.stop()
    assert not deployed.gateway._tasks


# --- model processes


class Slow:
    """A model process that answers when it is allowed to, and counts who is connected."""

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.connected = 0
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while head := await self._head(reader):
                self.heads.append(head)
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                self.asked.set()
                await self.may_answer.wait()
                body = b'{"prediction": [0.5], "labels": null}'
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        finally:
            self.connected -= 1
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def nobody_is_connected(self) -> None:
        async with asyncio.timeout(5):
            while self.connected:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Slow]:
    slow = Slow()
    server = await asyncio.start_unix_server(slow, path)
    yield slow
    slow.may_answer.set()
    server.close()


@pytest.fixture
async def slow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Slow, str]]:
    path = tmp_path_factory.mktemp("s") / "s"
    async with listening(path) as model:
        yield model, str(path)


async def test_a_request_in_flight_gets_its_answer_and_then_the_connection_ends(slow: tuple[Slow, str]) -> None:
    model, address = slow
    process = ModelProcess("m", address, ["x"], AnswerForm((), "FP64"))
    waiting = [asyncio.create_task(process.predict([(1.0,)])) for _ in range(2)]
    await model.asked.wait()
    await process.close()
    model.may_answer.set()
    assert await asyncio.gather(*waiting) == [([0.5], None, None)] * 2
    await model.nobody_is_connected()


async def test_a_model_process_is_told_which_request_and_which_trace_it_works_for(slow: tuple[Slow, str]) -> None:
    model, address = slow
    model.may_answer.set()
    process = ModelProcess("m", address, ["x"], AnswerForm((), "FP64"))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    request, within = CURRENT.set("r-1"), tracing.begin([(b"traceparent", f"00-{trace}-00f067aa0ba902b7-01".encode())])
    await process.predict([(1.0,)])
    tracing.end(within)
    CURRENT.reset(request)
    await process.predict([(1.0,)])
    told, untold = (head.lower() for head in model.heads)
    assert b"x-request-id: r-1\r\n" in told
    assert f"traceparent: 00-{trace}-".encode() in told
    assert b"traceparent" not in untold
    await process.close()


async def test_a_request_that_comes_after_is_answered_and_leaves_no_connection(slow: tuple[Slow, str]) -> None:
    model, address = slow
    model.may_answer.set()
    process = ModelProcess("m", address, ["x"], AnswerForm((), "FP64"))
    await process.predict([(1.0,)])
    assert model.connected == 1
    await process.close()
    await model.nobody_is_connected()
    late = await asyncio.gather(*(process.predict([(1.0,)]) for _ in range(3)))
    assert late == [([0.5], None, None)] * 3
    await model.nobody_is_connected()


async def test_a_request_that_is_given_up_halfway_does_not_keep_the_connection(slow: tuple[Slow, str]) -> None:
    model, address = slow
    process = ModelProcess("m", address, ["x"], AnswerForm((), "FP64"))
    waiting = asyncio.create_task(process.predict([(1.0,)]))
    await model.asked.wait()
    await process.close()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    model.may_answer.set()
    await model.nobody_is_connected()


async def test_a_process_that_moved_leaves_no_connection_to_its_old_address(
    deployed: Deployed, revision: LiveRevision, slow: tuple[Slow, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    model, address = slow
    model.may_answer.set()
    there = replace(revision, address=address)
    await deployed.becomes(there)
    old = deployed.process("halves")
    await old.predict([(1.0,)])
    assert model.connected == 1
    await deployed.becomes(replace(there, traffic=0.5))
    assert deployed.process("halves") is old, "another share of traffic is the same process"
    assert model.connected == 1
    await deployed.becomes(replace(there, address=str(tmp_path_factory.mktemp("s") / "new")))
    assert deployed.process("halves") is not old
    await model.nobody_is_connected()


async def test_one_process_that_cannot_be_let_go_keeps_neither_the_others_nor_the_routes(
    deployed: Deployed, revision: LiveRevision, slow: tuple[Slow, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, address = slow
    model.may_answer.set()
    bundle = Path(revision.folder)
    await deployed.becomes(live("first", bundle, address=address), live("second", bundle, address=address))
    await deployed.process("second").predict([(1.0,)])
    monkeypatch.setattr(deployed.process("first"), "close", fails)
    with capture_logs() as logged:
        await deployed.becomes(revision)
    assert [entry["model"] for entry in logged if entry["event"] == "revision not let go"] == ["first"]
    await model.nobody_is_connected()
    assert set(deployed.gateway.table.models) == {"halves"}
