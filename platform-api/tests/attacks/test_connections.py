"""What one caller can make a connection cost: heads and bodies have a longest length and a longest time."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import pytest
import uvicorn

from mlops_platform.app import compose
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.predictions.protocol import PredictionProtocol
from tests.support.ports import free_port

PATIENT = {"max_head_bytes": 32_768, "request_head_seconds": 2.0, "request_body_seconds": 3.0}


@dataclass
class Server:
    """The whole application behind its own protocol, on a port."""

    port: int
    headers: dict[str, str]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def say(self, *parts: bytes) -> bytes:
        """Send parts and return everything that comes back until the server ends the connection."""
        async with self.connection() as (reader, writer):
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            except ConnectionError:
                # the server has heard enough; what it said is still to be read
                pass
            try:
                return await asyncio.wait_for(reader.read(), 20)
            except ConnectionError:
                return b""

    def head(self, line: str, **headers: str) -> bytes:
        sent = {"Host": "localhost", **headers}
        return "\r\n".join([f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]).encode()


@pytest.fixture
async def server(services: BuiltServices, as_: Callable[..., dict[str, str]]) -> AsyncIterator[Server]:
    parts = replace(services, settings=services.settings.model_copy(update=PATIENT))
    port = free_port()
    config = uvicorn.Config(
        compose(parts),
        port=port,
        http=PredictionProtocol,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=60,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    yield Server(port, as_("ana@company.com", "viewer"))
    running.should_exit = True
    await task


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 8_000_000,
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: aaaaaaaa\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX: " + b"a" * 40_000 + b"\r\n\r\n{}",
    ],
    ids=["a long header", "a header without end", "many headers", "a long path", "on the short way"],
)
async def test_a_head_that_is_too_long_is_refused_before_it_is_whole(server: Server, head: bytes) -> None:
    began = time.monotonic()
    # in one piece, and as a network brings it
    assert _status(await server.say(head)) in {431, 0}
    pieces = [head[start : start + 1_400] for start in range(0, len(head), 1_400)]
    assert _status(await server.say(*pieces)) in {431, 0}
    assert time.monotonic() - began < 5
    assert _status(await server.say(server.head("GET /health", Connection="close"))) == 200


async def test_a_refused_head_is_told_why(server: Server) -> None:
    answer = await server.say(b"GET /health HTTP/1.1\r\nX: ", b"a" * 60_000)
    assert _status(answer) == 431
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/head-too-long"


async def test_a_head_of_an_honest_browser_passes(server: Server) -> None:
    cookies = "; ".join(f"name{number}={'v' * 200}" for number in range(100))
    assert _status(await server.say(server.head("GET /health", Cookie=cookies, Connection="close"))) == 200


async def test_trailers_and_extensions_of_chunks_are_no_way_around(server: Server) -> None:
    who = server.headers["Authorization"]
    head = server.head("POST /api/v1/risk/assess", Authorization=who, **{"Transfer-Encoding": "chunked"})
    for rest in (b"0\r\nX: " + b"a" * 200_000, b"1;" + b"a" * 200_000):
        answer = await server.say(head, *(rest[start : start + 1_400] for start in range(0, len(rest), 1_400)))
        assert _status(answer) in {431, 400, 0}


async def test_connections_that_say_nothing_or_never_end_are_ended(server: Server) -> None:
    who = server.headers["Authorization"]
    length = {"Content-Length": "100", "Authorization": who, "Content-Type": "application/json"}
    chunked = {"Transfer-Encoding": "chunked", "Authorization": who, "Content-Type": "application/json"}
    begun = [
        b"",
        b"\r\n",
        b"GET /hea",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n",
        server.head("POST /api/v1/risk/assess", **length) + b"{",
        server.head("POST /api/v1/risk/assess", **chunked) + b"1\r\n{\r\n",
        server.head("POST /api/v1/predict", **length) + b"{",
        server.head("POST /v2/models/m/infer", **chunked) + b"1\r\n{\r\n",
    ]
    began = time.monotonic()
    answers = await asyncio.gather(*(server.say(one) for one in begun))
    assert time.monotonic() - began < 12
    # 403: a viewer may not predict, which is said before the body is read
    assert {_status(answer) for answer in answers} <= {408, 403, 0}, answers


async def test_a_byte_a_second_does_not_hold_a_connection(server: Server) -> None:
    async with server.connection() as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
        ended = asyncio.create_task(reader.read())
        began = time.monotonic()
        while not ended.done():
            try:
                writer.write(b"a")
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.wait({ended}, timeout=0.2)
            assert time.monotonic() - began < 10
        assert _status(await ended) == 408


async def test_a_connection_that_waits_between_requests_is_not_ended_early(server: Server) -> None:
    async with server.connection() as (reader, writer):
        for _ in range(2):
            writer.write(server.head("GET /health"))
            assert b"healthy" in await asyncio.wait_for(reader.readuntil(b"}"), 5)
            # longer than a head may take: nothing was begun
            await asyncio.sleep(PATIENT["request_head_seconds"] + 1.5)
        assert not reader.at_eof()


@pytest.mark.parametrize(
    "path", ["/api/v1/risk/assess", "/api/v1/predict", "/v2/models/m/infer", "/nowhere", "/console/x"]
)
async def test_nobody_unknown_has_a_body_read(server: Server, path: str) -> None:
    # the length of a body is not said to somebody who may not send one: 401 (or a page to sign in at), never 413
    for headers in ({"Content-Length": "9999999999"}, {"Transfer-Encoding": "chunked"}):
        for who in ({}, {"Authorization": "Bearer x.y.z"}):
            answer = await server.say(server.head(f"POST {path}", **headers, **who))
            assert _status(answer) in {401, 303, 404}, answer[:200]


@pytest.mark.parametrize("size", [4_000, 5_000, 20_000, 70_000, 200_000])
async def test_a_body_is_the_same_in_one_piece_and_in_many(
    server: Server, as_: Callable[..., dict[str, str]], size: int
) -> None:
    body = json.dumps({"model_name": "nobody", "input_data": {"x": "a" * size}}).encode()
    known = as_("ana@company.com", "data-scientist")
    sent = {**known, "Content-Length": str(len(body)), "Connection": "close"}
    whole = server.head("POST /api/v1/predict", **sent) + body
    pieces = [whole[start : start + 1_400] for start in range(0, len(whole), 1_400)]
    for answer in (await server.say(whole), await server.say(*pieces)):
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/model-not-live", answer[:200]


async def test_a_known_callers_body_over_the_limit_is_413(server: Server) -> None:
    head = server.head("POST /api/v1/risk/assess", **server.headers, **{"Content-Length": "9999999999"})
    assert _status(await server.say(head)) == 413


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out", "/health", "/ready"])
async def test_what_is_open_takes_a_short_body_only(server: Server, path: str) -> None:
    assert _status(await server.say(server.head(f"POST {path}", **{"Content-Length": "20000"}))) == 413


def _packed(body: bytes) -> dict[str, str]:
    return {"Content-Encoding": "gzip", "Content-Type": "application/json", "Content-Length": str(len(body))}


async def test_a_packed_body_is_unpacked_within_the_limit(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    who = as_("ana@company.com", "viewer", "data-scientist")
    plain = json.dumps({"profile": "ten-questions", "answers": {}}).encode()
    same = await client.post("/api/v1/risk/assess", headers={**who, "Content-Type": "application/json"}, content=plain)
    for path in ("/api/v1/risk/assess", "/api/v1/predict", "/v2/models/m/infer"):
        small = gzip.compress(plain)
        answer = await client.post(path, headers={**who, **_packed(small)}, content=small)
        assert answer.status_code not in {400, 415, 500}, answer.text
        if path.endswith("assess"):
            assert answer.json()["type"] == same.json()["type"]
        bomb = gzip.compress(b"[" + b"0," * 20_000_000 + b"0]")
        refused = await client.post(path, headers={**who, **_packed(bomb)}, content=bomb)
        assert refused.status_code in {413, 404}, f"{path} answered {refused.status_code}"
        for encoding in ("br", "deflate", "gzip, gzip", "zstd"):
            unknown = await client.post(path, headers={**who, "Content-Encoding": encoding}, content=plain)
            assert unknown.status_code in {415, 404}, f"{path} {encoding} answered {unknown.status_code}"
        torn = await client.post(path, headers={**who, **_packed(small[:-4])}, content=small[:-4])
        assert torn.status_code in {400, 404}


async def test_half_a_million_unknown_keys_cost_nothing(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    who = {**as_("ana@company.com", "viewer"), "Content-Type": "application/json"}
    many = json.dumps({f"k{number}": 1 for number in range(300_000)}).encode()
    began = time.process_time()
    answer = await client.post("/api/v1/risk/assess", headers=who, content=many)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-many-parts")
    assert len(answer.content) < 2_000
    listed = json.dumps({"answers": [1] * 1_000_000}).encode()
    assert (await client.post("/api/v1/risk/assess", headers=who, content=listed)).status_code == 422
    assert time.process_time() - began < 3


async def test_what_does_not_fit_is_named_up_to_a_number_and_counted(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    body = {f"k{number}" + "x" * 1_000: 1 for number in range(500)}
    answer = await client.post("/api/v1/risk/assess", headers=as_("ana@company.com", "viewer"), json=body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert "50" in answer.json()["detail"]
    assert len(answer.content) < 20_000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested"),
        (b'{"profile":' + b"9" * 1_000_000 + b"}", "integer with thousands of digits"),
        (b'{"profile":"\xff"}', "UTF-8"),
        (b"{", "could not be parsed as JSON"),
    ],
    ids=["lists", "objects", "digits", "bytes", "half"],
)
async def test_a_body_that_cannot_be_read_is_told_why(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]], body: bytes, words: str
) -> None:
    who = {**as_("ana@company.com", "viewer"), "Content-Type": "application/json"}
    answer = await client.post("/api/v1/risk/assess", headers=who, content=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]
