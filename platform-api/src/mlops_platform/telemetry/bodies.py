"""Request bodies larger than the limit are refused before they are in memory."""

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.errors import PROBLEM_JSON, TooLarge


class BodyLimit:
    """ASGI middleware that answers 413 (problem+json) for bodies over the limit, announced or chunked."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limit:
            await self._refuse(scope, send)
        elif b"transfer-encoding" in headers:
            # its length is known only at the end: read it here, so that no handler sees half a body
            messages = await self._read(receive)
            if messages is None:
                await self._refuse(scope, send)
            else:
                await self._app(scope, _replayed(messages, receive), send)
        else:
            await self._app(scope, receive, send)

    async def _read(self, receive: Receive) -> list[Message] | None:
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                return None
            if not message.get("more_body", False):
                return messages

    async def _refuse(self, scope: Scope, send: Send) -> None:
        error = TooLarge(f"The largest accepted body is {self._limit} bytes; send it in parts.")
        body = orjson.dumps(error.problem(scope.get("state", {}).get("request_id", "")))
        headers = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            # the rest of the body is not read, so the connection cannot be used again
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    return again
