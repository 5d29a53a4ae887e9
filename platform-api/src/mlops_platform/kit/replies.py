"""Whole answers below FastAPI: status, headers and bytes, ready for ASGI or for one write to a connection."""

import contextlib
from typing import Any, NamedTuple

import orjson
from msgspec import UNSET, Struct, UnsetType
from starlette.types import Send

from mlops_platform.errors import PROBLEM_JSON, PlatformError

Header = tuple[bytes, bytes]
JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", PROBLEM_JSON.encode())


class ProblemDetails(Struct):
    """What an error answers (RFC 9457): the schema of `PlatformError.problem`. `errors` has one entry per wrong part."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, Any]] | UnsetType = UNSET


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[Header]
    body: bytes


def problem_reply(error: PlatformError, request_id: str, *headers: Header) -> Reply:
    """Return an error as problem+json (RFC 9457), with the headers it needs."""
    body = orjson.dumps(error.problem(request_id))
    length = (b"content-length", b"%d" % len(body))
    return Reply(error.status, [_PROBLEM, length, *headers, *error_headers(error)], body)


def error_headers(error: PlatformError) -> list[Header]:
    """Return an error's headers as ASGI writes them."""
    return [(name.lower().encode(), value.encode()) for name, value in error.headers().items()]


async def send_reply(send: Send, answer: Reply) -> None:
    """Send an answer; a caller that went away needs none."""
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
