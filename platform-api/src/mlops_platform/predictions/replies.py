"""Replies of the data plane: status, headers and bytes, ready to be sent the long way (ASGI) or in one write."""

import contextlib
from typing import NamedTuple

import orjson
import structlog
from starlette.types import Send

from mlops_platform.errors import PROBLEM_JSON, PlatformError, ServerError
from mlops_platform.predictions.problems import BodyTooLarge

log = structlog.get_logger(__name__)

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", PROBLEM_JSON.encode())


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def reply(status: int, body: bytes, request_id: str, *headers: tuple[bytes, bytes]) -> Reply:
    """Return a JSON answer."""
    described = [_JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id.encode()), *headers]
    return Reply(status, described, body)


def as_refusal(error: Exception) -> PlatformError:
    """Return the situation an exception stands for; one that is none is a defect, which the log describes."""
    if isinstance(error, PlatformError):
        return error
    log.error("unexpected error in the data plane", exc_info=error)
    return ServerError("This is a defect of the platform; quote the request id when you report it.")


def refused(error: PlatformError, request_id: str) -> Reply:
    """Return a situation as problem+json."""
    body = orjson.dumps(error.problem(request_id))
    described = [_PROBLEM, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id.encode())]
    described += error_headers(error)
    if error.status == BodyTooLarge.status:
        # what is left of the body is not read
        described.append((b"connection", b"close"))
    return Reply(error.status, described, body)


def error_headers(error: PlatformError) -> list[tuple[bytes, bytes]]:
    """Return the headers a situation asks for, as ASGI writes them."""
    return [(name.lower().encode(), value.encode()) for name, value in error.headers().items()]


async def send_reply(send: Send, answer: Reply) -> None:
    """Send an answer the ASGI way; a caller that went away needs none."""
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
