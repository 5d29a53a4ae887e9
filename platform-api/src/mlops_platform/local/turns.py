"""How many processes may start at once: what a machine carries, in order of asking."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A few turns. A start that takes longer than `longest_seconds` goes on, and holds up no other any more."""

    def __init__(self, count: int, longest_seconds: float) -> None:
        self.count = count
        self._free = asyncio.Semaphore(count)
        self._longest_seconds = longest_seconds

    @property
    def all_taken(self) -> bool:
        """Whether the next one has to wait."""
        return self._free.locked()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it until this block or the time is over."""
        await self._free.acquire()
        given_back: list[bool] = []

        def give_back() -> None:
            if not given_back:
                given_back.append(True)
                self._free.release()

        late = asyncio.get_running_loop().call_later(self._longest_seconds, give_back)
        try:
            yield
        finally:
            late.cancel()
            give_back()
