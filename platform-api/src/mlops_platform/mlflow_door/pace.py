"""Large bodies pass at a rate, so that a machine that also predicts keeps its processor and disk for predictions.

`aiolimiter` was judged: it refuses an amount above its burst, and a part of a body may be larger. This is the virtual
scheduling form of the generic cell rate algorithm (ITU-T I.371), counted in bytes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mlops_platform.mlflow_door.interfaces import Incoming, Outgoing, Upstream

# what was not used in the last moments may be used at once: small answers never wait
_BURST_SECONDS = 0.1


class Pace:
    """So many bytes per second for all bodies of one process together, in the order in which they ask."""

    def __init__(self, bytes_per_second: float) -> None:
        self._seconds_per_byte = 1 / bytes_per_second
        self._paid_until = 0.0

    def take(self, size: int, now: float) -> float:
        """Count `size` bytes; return the seconds to wait before the next."""
        self._paid_until = max(self._paid_until, now - _BURST_SECONDS) + size * self._seconds_per_byte
        return max(0.0, self._paid_until - now)

    async def passed(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the parts, each as soon as the bytes before it are paid for."""
        async for part in parts:
            yield part
            if wait := self.take(len(part), asyncio.get_running_loop().time()):
                await asyncio.sleep(wait)


class _PacedAnswer(Incoming):
    def __init__(self, answer: Incoming, pace: Pace) -> None:
        self._answer, self._pace = answer, pace
        self.status, self.headers = answer.status, answer.headers

    def chunks(self) -> AsyncIterator[bytes]:
        return self._pace.passed(self._answer.chunks())


def paced(upstream: Upstream, bytes_per_second: float | None) -> Upstream:
    """Return the server with a pace, or as it is when there is none to keep."""
    return upstream if bytes_per_second is None else PacedUpstream(upstream, bytes_per_second)


class PacedUpstream(Upstream):
    """A server whose streamed bodies, both ways, keep to a pace; bodies that the door has read pass at once."""

    def __init__(self, upstream: Upstream, bytes_per_second: float) -> None:
        self._upstream, self._pace = upstream, Pace(bytes_per_second)

    @asynccontextmanager
    async def exchange(self, request: Outgoing) -> AsyncIterator[Incoming]:
        body = request.body
        if body is not None and not isinstance(body, bytes):
            body = self._pace.passed(body)
        paced = Outgoing(request.method, request.target, request.workspace, request.headers, body)
        async with self._upstream.exchange(paced) as answer:
            yield _PacedAnswer(answer, self._pace)

    async def close(self) -> None:
        await self._upstream.close()
