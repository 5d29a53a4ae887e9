"""Every request of the control plane has a deadline: it is answered by then, whatever it waits for."""

import asyncio
import time
from collections.abc import Mapping
from contextvars import ContextVar

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.errors import Unavailable
from mlops_platform.kit.replies import problem_reply, send_reply

log = structlog.get_logger(__name__)

# what waits with a limit of its own gets to say what it waited for
_GRACE_SECONDS = 2.0

_DEADLINE: ContextVar[float] = ContextVar("deadline")


class TookTooLong(Unavailable):
    """Something the request waits for does not answer."""

    title = "The request took too long"

    def __init__(self) -> None:
        super().__init__(
            "Something it waits for did not answer in time. It may still take effect: look before you send it again.",
            retry_after=5,
        )


def remaining(longest: float) -> float:
    """Return how many seconds a wait may take: at most `longest`, and not beyond the deadline of the request."""
    deadline = _DEADLINE.get(None)
    return longest if deadline is None else min(longest, max(0.0, deadline - time.monotonic()))


class Deadlines:
    """ASGI middleware: after `seconds`, or those of `slow` for its paths, the answer is 503 unless another has begun.

    The request is abandoned and cancelled, but not waited for: what hangs may hear of it late.
    """

    def __init__(self, app: ASGIApp, seconds: float, slow: Mapping[str, float] | None = None) -> None:
        self._app = app
        self._seconds = seconds
        self._slow = slow or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = self._slow.get(scope["path"], self._seconds)
        begun = abandoned = False

        async def once(message: Message) -> None:
            nonlocal begun
            if not abandoned:
                begun = True
                await send(message)

        token = _DEADLINE.set(time.monotonic() + seconds)
        try:
            answering = asyncio.ensure_future(self._app(scope, receive, once))
        finally:
            _DEADLINE.reset(token)
        try:
            await asyncio.wait({answering}, timeout=seconds + _GRACE_SECONDS)
            if answering.done() or begun:
                await answering
                return
        finally:
            if not answering.done():
                answering.cancel()
        abandoned = True
        answering.add_done_callback(_forget)
        log.warning("request abandoned", method=scope["method"], path=scope["path"], seconds=seconds)
        await send_reply(send, problem_reply(TookTooLong(), scope.get("state", {}).get("request_id", "")))


def _forget(answering: "asyncio.Future[None]") -> None:
    if not answering.cancelled() and (error := answering.exception()) is not None:
        log.warning("abandoned request ended", cause=repr(error))
