"""A process that loads a big model is behind, not gone: nobody says `live` before it answers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.errors import DatabaseUnavailable
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions import reporting, standing
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.routing import Loaded
from mlops_platform.predictions.standing import Standing

from .test_gateway_life import Deployed

_GONE_SECONDS = 1.0


class Slow:
    """Two processes: one has loaded everything, the other still loads until it is let."""

    def __init__(self, services: BuiltServices, deployed: Deployed, revision: LiveRevision) -> None:
        self._services, self._revision = services, revision
        self.gateway: Gateway = deployed.gateway
        self.let = threading.Event()
        self._load: Callable[[RoutingSnapshot], dict[str, Loaded]] = self.gateway.table.load

    def load(self, snapshot: RoutingSnapshot) -> dict[str, Loaded]:
        assert self.let.wait(30)
        return self._load(snapshot)

    async def standing(self) -> Standing:
        """What the worker sees, while the other process is there and has loaded everything."""
        async with self._services.database.session() as session:
            await standing.report(session, "the other", 2, {})
        async with self._services.database.read_session() as session:
            return await standing.of(session, self._revision.revision_id, 2)


@pytest.fixture
async def slow(services: BuiltServices, revision: LiveRevision, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Slow]:
    monkeypatch.setattr(standing, "GONE_AFTER", timedelta(seconds=_GONE_SECONDS))
    monkeypatch.setattr(reporting, "HEARTBEAT_SECONDS", 0.2)
    deployed = Deployed(services)
    # looked at by hand: nothing else reads routes in between
    monkeypatch.setattr(deployed.gateway.following, "follow", asyncio.Event().wait)
    await deployed.gateway.start()
    deployed.number, deployed.revisions = 2, (revision,)
    found = Slow(services, deployed, revision)
    monkeypatch.setattr(deployed.gateway.table, "load", found.load)
    yield found
    found.let.set()
    await deployed.gateway.stop()


async def _begun(slow: Slow) -> asyncio.Task[None]:
    """Look at the routes until the load has taken longer than a process may be silent."""
    looking = asyncio.create_task(slow.gateway.following.look())
    await asyncio.sleep(3 * _GONE_SECONDS)
    assert not looking.done()
    return looking


async def test_a_process_that_loads_for_long_is_waited_for(slow: Slow) -> None:
    looking = await _begun(slow)
    assert await slow.standing() == Standing(processes=2, behind=1, problem=None)
    slow.let.set()
    await looking
    found = await slow.standing()
    assert (found, found.answers) == (Standing(processes=2, behind=0, problem=None), True)


async def test_one_that_ends_while_it_loads_is_gone(slow: Slow) -> None:
    looking = await _begun(slow)
    slow.let.set()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await asyncio.sleep(2 * _GONE_SECONDS)
    assert await slow.standing() == Standing(processes=1, behind=0, problem=None)


async def test_a_database_that_is_away_while_it_loads_stops_no_load(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = True
    report = standing.report

    async def reported(*arguments: object) -> None:
        if away:
            raise DatabaseUnavailable
        await report(*arguments)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(standing, "report", reported)
    looking = await _begun(slow)
    away = False
    slow.let.set()
    await looking
    assert slow.gateway.table.generation == 2
    assert (await slow.standing()).behind == 0
