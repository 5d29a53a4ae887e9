"""A write sent twice happens once."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.idempotency.middleware import Idempotency


class _Counter:
    """A write that counts how often it happened."""

    def __init__(self) -> None:
        self.writes = 0
        self.status = 201
        self.arrived = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        self.arrived.set()
        if self.gate:
            await self.gate.wait()
        self.writes += 1
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": b'{"number": %d, "sent": %d}' % (self.writes, len(body))})


@pytest.fixture
def counter() -> _Counter:
    return _Counter()


@pytest.fixture
async def writer(
    counter: _Counter, services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Idempotency(counter, services))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://platform", headers=as_("ana@company.com", "viewer")
    ) as client:
        yield client


async def test_a_repeated_write_answers_what_the_first_one_answered(
    writer: httpx.AsyncClient, counter: _Counter
) -> None:
    first = await writer.post("/things", json={"a": 1}, headers={"Idempotency-Key": "k1"})
    second = await writer.post("/things", json={"a": 1}, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["idempotency-replayed"] == "true"
    assert counter.writes == 1


async def test_without_a_key_every_write_happens(writer: httpx.AsyncClient, counter: _Counter) -> None:
    await writer.post("/things")
    await writer.post("/things")
    assert counter.writes == 2


async def test_a_key_cannot_be_used_for_another_request(writer: httpx.AsyncClient, counter: _Counter) -> None:
    await writer.post("/things", json={"a": 1}, headers={"Idempotency-Key": "k1"})
    other = await writer.post("/things", json={"a": 2}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert counter.writes == 1


async def test_keys_of_two_callers_do_not_meet(
    writer: httpx.AsyncClient, counter: _Counter, as_: Callable[..., dict[str, str]]
) -> None:
    await writer.post("/things", headers={"Idempotency-Key": "k1"})
    await writer.post("/things", headers={"Idempotency-Key": "k1", **as_("bob@company.com", "viewer")})
    assert counter.writes == 2


async def test_a_second_request_while_the_first_runs_is_told_so(writer: httpx.AsyncClient, counter: _Counter) -> None:
    counter.gate = asyncio.Event()
    first = asyncio.create_task(writer.post("/things", headers={"Idempotency-Key": "k1"}))
    await counter.arrived.wait()
    second = await writer.post("/things", headers={"Idempotency-Key": "k1"})
    assert second.status_code == 409
    counter.gate.set()
    assert (await first).status_code == 201
    assert counter.writes == 1


async def test_a_server_error_may_be_tried_again(writer: httpx.AsyncClient, counter: _Counter) -> None:
    counter.status = 503
    await writer.post("/things", headers={"Idempotency-Key": "k1"})
    counter.status = 201
    assert (await writer.post("/things", headers={"Idempotency-Key": "k1"})).status_code == 201
