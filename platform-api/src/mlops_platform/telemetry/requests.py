"""Request ids: every request has one, every answer carries it, every log line of the request names it."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict

from mlops_platform.kit.ids import new_id
from mlops_platform.telemetry import spans, tracing

HEADER = b"x-request-id"
_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")

CURRENT: ContextVar[str] = ContextVar("request_id")
"""The request a task works for. A variable of its own: on the data plane structlog's binding would cost as much as a graph."""


def name_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the current request's id, and its caller's trace, to a log line: a structlog processor."""
    request_id = CURRENT.get("")
    if request_id:
        event.setdefault("request_id", request_id)
    if trace := tracing.CURRENT.get(None):
        event.setdefault("trace_id", trace[0])
    return event


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the caller's X-Request-ID when it is short and plain, else a new id."""
    for name, value in headers:
        if name == HEADER and _ACCEPTABLE.fullmatch(value):
            return str(value.decode())
    return new_id()


class RequestIds:
    """ASGI middleware that sets `scope["state"]["request_id"]` and answers it as X-Request-ID."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.answered(message["status"])
                message["headers"] = [*message.get("headers", []), (HEADER, request_id.encode())]
            await send(message)

        token, trace = CURRENT.set(request_id), tracing.begin(scope["headers"])
        try:
            with spans.serving(scope["method"], scope["headers"]) as span:
                await self._app(scope, receive, send_with_id)
                # the template, never the path: a path can hold anything
                route = getattr(scope.get("route"), "path", "unmatched")
                span.named(f"{scope['method']} {route}")
                span.told(http_route=route, mlops_request=request_id)
        finally:
            tracing.end(trace)
            CURRENT.reset(token)
