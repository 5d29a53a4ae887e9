"""Request bodies of the control plane: whole, within the limit, decoded, and of a shape that is cheap to read."""

from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_platform.errors import PlatformError
from mlops_platform.kit.bodies import check_announced, read_body, replayed
from mlops_platform.kit.content import check_shape, decoded
from mlops_platform.kit.replies import problem_reply, send_reply

_LENGTHS = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})
# forms have limits of their own where they are read
_FORMS = (b"application/x-www-form-urlencoded", b"multipart/")


class BodyLimit:
    """ASGI middleware that hands a body on as one message, or answers why not (problem+json): 400, 413, 415, 422."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0":
            await self._app(scope, receive, send)
            return
        try:
            check_announced(headers.get(b"content-length", b""), self._limit)
            body = await read_body(receive, self._limit)
            body = decoded(body, headers.get(b"content-encoding", b""), self._limit)
            if not headers.get(b"content-type", b"").lower().startswith(_FORMS):
                check_shape(body)
        except PlatformError as error:
            await send_reply(send, problem_reply(error, scope.get("state", {}).get("request_id", "")))
            return
        kept = [(name, value) for name, value in scope["headers"] if name not in _LENGTHS]
        scope["headers"] = [*kept, (b"content-length", b"%d" % len(body))]
        await self._app(scope, replayed(body, receive), send)
