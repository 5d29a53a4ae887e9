"""A write sent twice happens once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select, update
from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.errors import PlatformError
from mlops_platform.idempotency.middleware import Idempotency
from mlops_platform.idempotency.tables import IdempotencyKeyRow
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id


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


async def test_a_request_that_died_after_its_effect_is_never_carried_out_again(
    services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> None:
    effects = _Effects(services)
    effects.dies_after = True
    async with _client(effects, services, as_) as client:
        first = await client.post("/things", headers={"Idempotency-Key": "k1"})
        again = await client.post("/things", headers={"Idempotency-Key": "k1"})
    assert first.status_code == 500
    assert again.status_code == 409
    assert "took effect" in again.json()["detail"]
    assert await effects.count() == 1


async def test_a_request_that_died_before_its_effect_is_carried_out_by_the_next(
    services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> None:
    """Its process was killed: nobody settled the claim, and nobody ever will."""
    effects = _Effects(services)
    async with _client(effects, services, as_) as client:
        await client.post("/things", headers={"Idempotency-Key": "k1"})
        async with services.database.session() as session:
            old = now() - timedelta(hours=1)
            unsettled = {"started_at": old, "status": None, "body": None, "took_effect": False}
            await session.execute(update(IdempotencyKeyRow).values(**unsettled))
        assert (await client.post("/things", headers={"Idempotency-Key": "k1"})).status_code == 201
    assert await effects.count() == 2


async def test_a_request_that_was_thought_dead_changes_nothing_any_more(
    services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> None:
    """A process that stood still comes back when the repeated request has been carried out in its place."""
    effects = _Effects(services)
    effects.gate = asyncio.Event()
    async with _client(effects, services, as_) as client:
        first = asyncio.create_task(client.post("/things", headers={"Idempotency-Key": "k1"}))
        await effects.arrived.wait()
        async with services.database.session() as session:
            await session.execute(update(IdempotencyKeyRow).values(started_at=now() - timedelta(hours=1)))
        standing, effects.gate = effects.gate, None
        assert (await client.post("/things", headers={"Idempotency-Key": "k1"})).status_code == 201
        standing.set()
        assert (await first).status_code == 409
        kept = await client.post("/things", headers={"Idempotency-Key": "k1"})
    assert kept.headers["idempotency-replayed"] == "true"
    assert await effects.count() == 1


class _Effects:
    """A write whose effect is an event in a table."""

    def __init__(self, services: BuiltServices) -> None:
        self._services = services
        self.dies_after = False
        self.arrived = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._services.database.session() as session:
                self.arrived.set()
                if self.gate:
                    await self.gate.wait()
                key = IdempotencyKeyRow(caller="effect", key=new_id(), request="", started_at=now())
                session.add(key)
            status = 500 if self.dies_after else 201
        except PlatformError as error:
            status = error.status
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def count(self) -> int:
        async with self._services.database.read_session() as session:
            query = select(func.count()).where(IdempotencyKeyRow.caller == "effect")
            return (await session.execute(query)).scalar_one()


def _client(app: ASGIApp, services: BuiltServices, as_: Callable[..., dict[str, str]]) -> httpx.AsyncClient:
    headers = as_("ana@company.com", "viewer")
    transport = httpx.ASGITransport(Idempotency(app, services))
    return httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers)
