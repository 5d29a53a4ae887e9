"""MLflow behind its door answers the secret, and nobody without it."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from mlops_platform.adapters.mlflow.guarded_server import Guarded


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
