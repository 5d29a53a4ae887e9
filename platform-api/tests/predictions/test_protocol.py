"""The short way of predictions says what the long way says, to the byte, and leaves everything else to it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.protocol import PredictionProtocol
from tests.support.ports import free_port
from tests.support.trust import EveryBuild
from tests.support.waiting import eventually_async

GOOD = {"model_name": "halves", "input_data": {"x": 3.0}}


class Watched(Gateway):
    """Counts the requests that came the long way."""

    long = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.long += scope["type"] == "http"
        await super().__call__(scope, receive, send)


async def _inner(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def gateway(services: BuiltServices, revision: LiveRevision) -> Watched:
    async def routes() -> RoutingSnapshot:
        return RoutingSnapshot(1, (revision,))

    async def generation() -> int:
        return 1

    async def revocations() -> bytes | None:
        return None

    return Watched(_inner, services, routes, generation, revocations, EveryBuild())


@asynccontextmanager
async def serving(
    gateway: Gateway, protocol: str | type[asyncio.Protocol]
) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    port = free_port()
    quiet = {
        "log_level": "error",
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
    }
    config = uvicorn.Config(gateway, port=port, http=protocol, **quiet)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server, port
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def short(gateway: Watched) -> AsyncIterator[int]:
    async with serving(gateway, PredictionProtocol) as (_server, port):
        yield port


def request(token: str, body: object = GOOD, *extra: str, path: str = "/api/v1/predict", method: str = "POST") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: platform", f"Authorization: Bearer {token}", *extra]
    if not any(line.lower().startswith("transfer-encoding") for line in extra):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


async def exchange(port: int, *pieces: bytes, answers: int = 1) -> list[bytes]:
    """Send pieces, each in a packet of its own; return so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    found = []
    async with asyncio.timeout(10):
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            while head.startswith(b"HTTP/1.1 100"):
                found.append(head)
                head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length, head
            found.append(head + await reader.readexactly(int(length[1])))
    writer.close()
    return found


def plain(answer: bytes) -> bytes:
    """Return an answer without what is different each time."""
    without = re.sub(rb"(x-request-id: |\"request_id\":\"|\"prediction_id\":\")[^\"\r]+", rb"\1", answer)
    return re.sub(rb"content-length: \d+", b"content-length:", without)


@pytest.fixture
def token(token_for: Callable[..., str]) -> str:
    return token_for("ana@company.com", "data-scientist")


async def test_both_ways_answer_the_same_bytes(gateway: Watched, token: str, token_for: Callable[..., str]) -> None:
    viewer = token_for("v@company.com", "viewer")
    cases = [
        request(token),
        request(token, {**GOOD, "input_data": [{"x": 1}, {"x": 2}]}),
        request(token, GOOD, "X-Request-ID: mine"),
        request(token, GOOD, "X-Request-ID: not mine!"),
        request(token, b"{"),
        request(token, b""),
        request(token, {**GOOD, "model_name": "nobody"}),
        request(token, {**GOOD, "model_version": 7}),
        request(token, {**GOOD, "input_data": {"x": "three"}}),
        request(token, {**GOOD, "input_data": {}}),
        request(token, {**GOOD, "surprise": 1}),
        request(token, {**GOOD, "entity_ids": ["a"]}),
        request(token, {**GOOD, "return_explanations": True}),
        request(viewer),
        request("not.a.token"),
        request(token, GOOD, "Connection: close"),
    ]
    async with serving(gateway, "httptools") as (_, long_port), serving(gateway, PredictionProtocol) as (_, short_port):
        for case in cases:
            long, once, again = [(await exchange(port, case))[0] for port in (long_port, short_port, short_port)]
            assert plain(long) == plain(once) == plain(again), case


async def test_a_known_callers_small_prediction_goes_the_short_way_and_is_counted(
    gateway: Watched, short: int, token: str
) -> None:
    labels = {"method": "POST", "endpoint": "/api/v1/predict", "status": "200", "model_name": "halves"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    answers = await exchange(short, request(token), request(token), request(token), answers=3)
    assert [json.loads(answer.partition(b"\r\n\r\n")[2])["prediction"] for answer in answers] == [[1.5]] * 3
    assert gateway.long == 1, "only the first, whose token had to be verified, took the long way"
    gateway.flush()
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 3
    assert gateway._services.prediction_log.account().pending == 3


async def test_answers_keep_the_order_of_pipelined_requests(short: int, token: str) -> None:
    await exchange(short, request(token))
    mixed = [
        request(token, {**GOOD, "input_data": {"x": 2.0}}),
        request(token, b"", path="/api/v1/models", method="GET"),
        request(token, {**GOOD, "input_data": {"x": 4.0}}),
        request(token, {**GOOD, "return_explanations": True}),
        request(token, {**GOOD, "input_data": {"x": 8.0}}),
    ]
    answers = await exchange(short, b"".join(mixed), answers=5)
    assert [int(answer.split()[1]) for answer in answers] == [200, 404, 200, 503, 200]
    halves = [json.loads(answers[index].partition(b"\r\n\r\n")[2])["prediction"] for index in (0, 2, 4)]
    assert halves == [[1.0], [2.0], [4.0]]


async def test_a_request_in_pieces_is_put_together(gateway: Watched, short: int, token: str) -> None:
    await exchange(short, request(token))
    whole = request(token)
    for cut in (10, 60, len(whole) - 20, len(whole) - 1):
        assert b'"prediction":[1.5]' in (await exchange(short, whole[:cut], whole[cut:]))[0]
    assert gateway.long == 1


async def test_what_is_unusual_takes_the_long_way(gateway: Watched, short: int, token: str) -> None:
    await exchange(short, request(token))
    content = json.dumps(GOOD).encode()
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    padded = content[:-1] + b" " * 70_000 + b"}"
    for number, (unusual, answers) in enumerate(
        [
            (request(token, chunked, "Transfer-Encoding: chunked"), 1),
            (request(token, GOOD, "Expect: 100-continue"), 1),
            (request(token, padded), 1),
            (request(token, GOOD, "Connection: close"), 1),
            (request(token).replace(b"HTTP/1.1", b"HTTP/1.0", 1), 1),
            (request(token, GOOD, path="/api/v1/predict?a=b"), 1),
        ]
    ):
        assert b'"prediction":[1.5]' in (await exchange(short, unusual, answers=answers))[-1]
        assert gateway.long == number + 2, unusual[:80]


async def test_a_request_begun_before_the_end_is_still_answered(gateway: Watched, token: str) -> None:
    whole = request(token)
    async with serving(gateway, PredictionProtocol) as (server, port):
        await exchange(port, whole)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(whole[:-5])
        await writer.drain()
        server.should_exit = True

        async def closing() -> bool:
            return not any(listening.is_serving() for listening in server.servers)

        await eventually_async(closing, 5)
        writer.write(whole[-5:])
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert b'"prediction":[1.5]' in answer
        assert b"connection: close" in answer
        writer.close()


async def test_a_request_that_was_on_its_way_when_the_process_ended_is_answered_as_the_last_of_its_connection(
    gateway: Watched, token: str
) -> None:
    whole = request(token)
    async with serving(gateway, PredictionProtocol) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        idle, other = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(whole)
            await reader.readuntil(b'"prediction":[1.5]')
        server.should_exit = True

        async def closing() -> bool:
            return not any(listening.is_serving() for listening in server.servers)

        await eventually_async(closing, 5)
        writer.write(whole)
        async with asyncio.timeout(5):
            answer = await reader.read()
            assert await idle.read() == b"", "who sends nothing is not waited for"
        assert b'"prediction":[1.5]' in answer
        assert b"connection: close" in answer.lower()
        for each in (writer, other):
            each.close()


async def test_an_orderly_stop_hands_the_last_predictions_to_the_worker(
    services: BuiltServices, gateway: Watched, token: str
) -> None:
    async with serving(gateway, PredictionProtocol) as (_, port):
        await exchange(port, request(token))
    assert services.prediction_log.account().pending == 1
    assert services.prediction_log.move() == 1, "the segment of a process that stopped in order is still open"


async def test_a_defect_is_a_problem_with_a_request_id_and_the_connection_goes_on(
    gateway: Watched, short: int, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exchange(short, request(token))

    def broken(*_: object) -> None:
        raise KeyError("secret detail")

    with monkeypatch.context() as patched:
        patched.setattr(gateway._predictor, "at_once", broken)
        answer = (await exchange(short, request(token)))[0]
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"secret" not in answer
    assert b'"request_id":"' in answer
    assert (await exchange(short, request(token)))[0].startswith(b"HTTP/1.1 200")
