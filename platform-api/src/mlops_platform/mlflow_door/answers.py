"""What the door itself answers: problems that MLflow's client can show, and the way to the sign-in page."""

import orjson
from starlette.types import Send

from mlops_platform.errors import PROBLEM_JSON, PlatformError
from mlops_platform.kit.replies import Reply, error_headers

# MLflow's client shows `message` and turns `error_code` into what its callers catch
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_ALREADY_EXISTS",
    413: "BAD_REQUEST",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
}


def problem(error: PlatformError, request_id: str) -> Reply:
    """Return an error as problem+json (RFC 9457), with the two fields that MLflow's client reads."""
    code = _CODES.get(error.status, "INTERNAL_ERROR")
    body = orjson.dumps({**error.problem(request_id), "error_code": code, "message": error.detail})
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", b"%d" % len(body)), *error_headers(error)]
    return Reply(error.status, headers, body)


async def sign_in(send: Send, url: str) -> None:
    """Send the browser to the console's sign-in page."""
    headers = [(b"location", url.encode()), (b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
