"""The data plane alone: given revisions answer, nothing else is behind it, and no route is read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.gateway import Gateway

from .trust import EveryBuild, nothing_revoked


@asynccontextmanager
async def serving(
    services: BuiltServices, revisions: tuple[LiveRevision, ...], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    """A gateway over these revisions until the block ends."""

    async def routes() -> RoutingSnapshot:
        return RoutingSnapshot(1, revisions)

    async def generation() -> int:
        return 1

    async def inner(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("only predictions are asked for")

    gateway = Gateway(inner, services, routes, generation, nothing_revoked, EveryBuild())
    monkeypatch.setattr(gateway.following, "follow", asyncio.Event().wait)
    yield gateway
    await gateway.stop()


@asynccontextmanager
async def calling(gateway: Gateway, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that gateway, signed in."""
    headers = {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(gateway)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
        yield client
