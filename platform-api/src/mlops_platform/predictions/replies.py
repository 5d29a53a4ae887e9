"""Answers of the data plane: each names its request."""

import structlog

from mlops_platform.errors import PlatformError, ServerError
from mlops_platform.kit.replies import JSON, Header, Reply, problem_reply

log = structlog.get_logger(__name__)


def reply(status: int, body: bytes, request_id: str, *headers: Header) -> Reply:
    """Return a JSON answer."""
    own = (JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id.encode()))
    return Reply(status, [*own, *headers], body)


def as_refusal(error: Exception) -> PlatformError:
    """Return the error to answer with; an exception that is none of ours is a defect, which the log describes."""
    if isinstance(error, PlatformError):
        return error
    log.error("unexpected error in the data plane", exc_info=error)
    return ServerError("This is a defect of the platform; quote the request id when you report it.")


def refused(error: PlatformError, request_id: str) -> Reply:
    """Return an error as problem+json."""
    return problem_reply(error, request_id, (b"x-request-id", request_id.encode()))
