"""A request has an answer by its deadline, whatever it waits for, and one that has begun is not cut off."""

import asyncio
import time
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from mlops_platform.kit.deadline import Deadlines, remaining

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/api/v1/models", "state": {"request_id": "r-1"}}


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


async def asked(app: Any, seconds: float = 0.1, **more: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await Deadlines(app, seconds, **more)(dict(SCOPE), receive, send)
    return sent


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_platform.kit.deadline._GRACE_SECONDS", 0.0)


async def test_a_request_that_hangs_is_answered_and_cancelled() -> None:
    ended = asyncio.Event()

    async def hangs(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    start, body = await asked(hangs)
    assert start["status"] == 503
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert orjson.loads(body["body"])["request_id"] == "r-1"
    async with asyncio.timeout(5):
        await ended.wait()


async def test_what_refuses_to_be_cancelled_is_not_waited_for_and_answers_nobody_twice() -> None:
    released = asyncio.Event()
    tried = asyncio.Event()

    async def stubborn(_scope: Scope, _receive: Receive, send: Send) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        await send({"type": "http.response.start", "status": 200, "headers": []})
        tried.set()
        raise RuntimeError("nobody hears this")

    began = time.monotonic()
    sent = await asked(stubborn)
    assert time.monotonic() - began < 5
    released.set()
    async with asyncio.timeout(5):
        await tried.wait()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 503


async def test_an_answer_that_has_begun_is_not_cut_off() -> None:
    async def long(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with asyncio.timeout(0.5) as lasts:
            while not lasts.expired():
                await asyncio.sleep(0)
                if time.monotonic() > began + 0.3:
                    break
        await send({"type": "http.response.body", "body": b"all"})

    began = time.monotonic()
    assert [message.get("status") or message["body"] for message in await asked(long)] == [200, b"all"]


async def test_an_error_is_the_callers_and_not_swallowed() -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError("a defect")

    with pytest.raises(LookupError):
        await asked(fails)


async def test_waits_end_with_the_request_and_outside_of_one_with_their_own_limit() -> None:
    seen: list[float] = []

    async def looks(_scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(remaining(30))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await asked(looks, seconds=5)
    await asked(looks, seconds=5, slow={"/api/v1/models": 20})
    assert 4 < seen[0] <= 5
    assert 19 < seen[1] <= 20
    assert remaining(30) == 30
