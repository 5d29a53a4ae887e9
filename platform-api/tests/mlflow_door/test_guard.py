"""MLflow behind its door answers the secret, and nobody without it."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from mlops_platform.adapters.mlflow.guarded_server import Guarded, in_large_parts


async def _mlflow(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def _status(headers: list[tuple[bytes, bytes]], kind: str = "http") -> Message:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await Guarded(_mlflow, "secret")({"type": kind, "headers": headers}, receive, send)
    return sent[0]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"secret")],
        [(b"authorization", b"Bearer secret"), (b"authorization", b"Bearer wrong")],
        [(b"x-authorization", b"Bearer secret")],
    ],
)
async def test_who_does_not_send_the_secret_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    assert (await _status(headers))["status"] == 401
    assert (await _status(headers, "websocket"))["type"] == "websocket.close"


async def test_who_sends_it_reaches_mlflow() -> None:
    assert (await _status([(b"authorization", b"Bearer secret")]))["status"] == 200


def test_an_empty_secret_guards_nothing_and_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Guarded(_mlflow, "")


async def _heard(*messages: Message) -> list[Message]:
    """What MLflow hears of a body that arrives in these messages."""
    coming = list(messages)

    async def receive() -> Message:
        return coming.pop(0)

    larger, heard = in_large_parts(receive), []
    while not heard or heard[-1].get("more_body", False):
        heard.append(await larger())
    return heard


def _part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_comes_in_large_parts_and_whole() -> None:
    sent = [bytes([number % 256]) * 65_536 for number in range(40)]
    heard = await _heard(*map(_part, sent), _part(b"end", more=False))
    assert b"".join(message["body"] for message in heard) == b"".join(sent) + b"end"
    assert len(heard) == 3
    assert not heard[-1]["more_body"]


async def test_a_small_body_is_handed_on_at_once() -> None:
    assert await _heard(_part(b"{}", more=False)) == [_part(b"{}", more=False)]


async def test_a_caller_who_goes_away_is_heard_after_the_part_that_came() -> None:
    gone: Message = {"type": "http.disconnect"}
    # a part that breaks off is never the last one: MLflow would keep it as a whole artifact
    assert await _heard(_part(b"half"), gone) == [_part(b"half"), gone]
    assert await _heard(gone) == [gone]
