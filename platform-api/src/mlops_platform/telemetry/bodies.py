"""Request bodies larger than the limit are refused before they are in memory."""

from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_platform.errors import PlatformError
from mlops_platform.kit.bodies import check_announced, read_body, replayed
from mlops_platform.kit.replies import problem_reply, send_reply


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
        try:
            check_announced(headers.get(b"content-length", b""), self._limit)
            if b"transfer-encoding" in headers:
                # its length is known only at the end: read it here, so that no handler sees half a body
                receive = replayed(await read_body(receive, self._limit), receive)
        except PlatformError as error:
            await send_reply(send, problem_reply(error, scope.get("state", {}).get("request_id", "")))
        else:
            await self._app(scope, receive, send)
