"""A write that met another in the database is done again, before its caller hears of it."""

import asyncio
import random
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.kit.bodies import read_body, replayed
from mlops_platform.telemetry import metrics

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.05


class RetriedWrites:
    """ASGI middleware around the control plane.

    A write whose answer says `changes_met` in the request's state has changed nothing (its transaction was ended by PostgreSQL):
    it is run again, at most twice. What it did outside the database must be safe to repeat, as for any caller that tries again.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WRITES:
            await self._app(scope, receive, send)
            return
        body = await read_body(receive, self._limit)
        for attempt in range(1, _ATTEMPTS + 1):
            if await self._attempt(scope, replayed(body, receive), send, last=attempt == _ATTEMPTS):
                return
            metrics.database_retries_total.inc()
            # apart from the one it met, which may do the same
            await asyncio.sleep(_PAUSE_SECONDS * attempt * (0.5 + random.random()))  # noqa: S311  # nosec B311 - no secret

    async def _attempt(self, scope: Scope, receive: Receive, send: Send, *, last: bool) -> bool:
        """Run the request once; return whether it was answered."""
        state: dict[str, Any] = dict(scope.get("state", {}))
        own = {**scope, "state": state}
        answered = True

        async def unless_again(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = last or not state.get("changes_met")
            if answered:
                await send(message)

        try:
            await self._app(own, receive, unless_again)
        finally:
            # whoever counts this request asks for its route
            scope.update({key: own[key] for key in ("route", "endpoint", "path_params") if key in own})
        return answered
