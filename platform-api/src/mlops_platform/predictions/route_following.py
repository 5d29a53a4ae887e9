"""Keeps a process's routing table as the database says it should be."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
import structlog

from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.errors import PlatformError
from mlops_platform.predictions.endpoint_recorders import EndpointRecorders
from mlops_platform.predictions.reporting import Reporter
from mlops_platform.predictions.routing import Loaded, RoutingTable, Target
from mlops_platform.predictions.trust import Trust

log = structlog.get_logger(__name__)

# how often a process asks whether routes changed: the promise is one second
_POLL_SECONDS = 0.4
_REVOCATIONS_SECONDS = 30.0

Routes = Callable[[], Awaitable[RoutingSnapshot]]
Generation = Callable[[], Awaitable[int]]
Revocations = Callable[[], Awaitable[bytes | None]]


class Sources(NamedTuple):
    """`routes` reads what answers, `generation` cheaply says whether that changed, `revocations` the newest signed list."""

    routes: Routes
    generation: Generation
    revocations: Revocations


class RouteFollower:
    """Reads routes and withdrawn approvals again and again, and loads what is new."""

    def __init__(
        self, sources: Sources, table: RoutingTable, trust: Trust, reporter: Reporter, recorders: EndpointRecorders
    ) -> None:
        self._sources = sources
        self._table = table
        self._trust = trust
        self._reporter = reporter
        self._recorders = recorders
        self._revocations_due = 0.0
        self._look_again = False

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Bring the table up to date. Never raises: a database that is down only means 'not yet'."""
        try:
            await self._read_revocations()
            await self.refresh()
            if self._table.generation >= 0:
                await self._reporter.report(self._table.generation, self._table.not_loaded)
        except PlatformError as error:
            # the last table keeps answering; /ready says what is wrong
            log.warning("routes not read", reason=error.title)
        except Exception:  # a background task's boundary: the next tick tries again, the table stays as it was
            log.exception("routes not read")

    async def _read_revocations(self) -> None:
        """Read the list of withdrawn approvals twice a minute, before what is loaded is looked at again."""
        if time.monotonic() < self._revocations_due:
            return
        self._trust.take_revocations(await self._sources.revocations())
        self._revocations_due = time.monotonic() + _REVOCATIONS_SECONDS
        self._look_again = True

    async def refresh(self) -> None:
        """Read the routes when they changed or a revision is due to be tried again; load new ones off the event loop."""
        look_again, self._look_again = self._look_again, False
        unchanged = await self._sources.generation() == self._table.generation
        if unchanged and not self._table.is_due() and not (look_again and self._table.has_ended()):
            return
        # fetching and loading a big model takes longer than a process may be silent
        async with self._reporter.beating(self._table.generation, self._table.not_loaded):
            snapshot = await self._sources.routes()
            targets = await anyio.to_thread.run_sync(self._table.load, snapshot)
        for gone in self._table.swap(snapshot, targets):
            await self._let_go(gone)
        for name in self._table.models:
            self._recorders.of_model(name, self._table.models)

    async def _let_go(self, target: Loaded) -> None:
        try:
            target.recorder.flush()
            if isinstance(target, Target) and target.process:
                await target.process.close()
        except Exception:  # one revision that cannot be let go must not keep the others, nor the routes
            log.exception("revision not let go", revision=target.live.revision_id, model=target.live.model_name)
