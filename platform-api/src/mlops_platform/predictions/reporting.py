"""A process of the data plane says which routes it has loaded, and that it is there."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from mlops_platform.dependencies import Services
from mlops_platform.errors import PlatformError
from mlops_platform.kit.ids import new_id
from mlops_platform.predictions import standing

log = structlog.get_logger(__name__)

# well below standing.GONE_AFTER: one late heartbeat makes nobody think that the process is gone
HEARTBEAT_SECONDS = 3.0


class Reporter:
    """Writes this process's row: at once when its routes changed, else as a heartbeat."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._process = new_id()
        self._reported: tuple[int, dict[str, str]] | None = None
        self._due = 0.0

    async def report(self, generation: int, not_loaded: Mapping[str, str]) -> None:
        """Keep what is loaded. Raises DatabaseUnavailable; then the next call writes it."""
        current = (generation, dict(not_loaded))
        if current == self._reported and time.monotonic() < self._due:
            return
        async with self._database.session() as session:
            await standing.report(session, self._process, *current)
        self._reported, self._due = current, time.monotonic() + HEARTBEAT_SECONDS

    @asynccontextmanager
    async def beating(self, generation: int, not_loaded: Mapping[str, str]) -> AsyncIterator[None]:
        """Go on saying what is loaded until the block ends: one that loads a big model for long is behind, not gone.

        A process that has loaded nothing yet says nothing. Never raises because of the database: the load goes on without it.
        """
        ended = asyncio.Event()
        beat = asyncio.create_task(self._beat(generation, not_loaded, ended)) if generation >= 0 else None
        try:
            yield
        finally:
            ended.set()
            if beat is not None:
                # what is being written is written: a report is never cut in the middle of its transaction
                await beat

    async def _beat(self, generation: int, not_loaded: Mapping[str, str], ended: asyncio.Event) -> None:
        while True:
            try:
                await asyncio.wait_for(ended.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                pass
            else:
                return
            try:
                await self.report(generation, not_loaded)
            except PlatformError as error:
                log.warning("the data plane's row is not renewed", reason=error.title)

    async def leave(self) -> None:
        """Say that this process stops. Without a database its row ends by age."""
        if self._reported is None:
            return
        self._reported = None
        try:
            async with self._database.session() as session:
                await standing.leave(session, self._process)
        except PlatformError as error:
            log.warning("the data plane's row stays until it is old", reason=error.title)
