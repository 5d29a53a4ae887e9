"""The road with one model that answers, once for all tests of a file of this folder: none may change what serves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mlops_platform import bootstrap
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.watchdog_client import Watchdog
from mlops_platform.settings import Settings

from ...conftest import client_for
from ..conftest import Headers, Road, bring_to_life


@pytest.fixture(scope="module")
async def services(
    database_url: str, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory, _truncate: Callable[[], None]
) -> AsyncIterator[BuiltServices]:
    await asyncio.to_thread(_truncate)
    home = tmp_path_factory.mktemp("shared") / "home"
    built = bootstrap.build(Settings(home=home, database_url=SecretStr(database_url), mlflow_url=mlflow_server))
    yield built
    await built.database.dispose()


@pytest.fixture(scope="module")
async def client(services: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(services) as client:
        yield client


@pytest.fixture(scope="module")
def as_(services: BuiltServices) -> Headers:
    issuer = DevelopmentIssuer.from_settings(services.settings)

    def headers(email: str, *roles: str, tenant: str = "default") -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.mint(email, list(roles) or ['viewer'], tenant)}"}

    return headers


@pytest.fixture(scope="module")
async def road(services: BuiltServices, client: httpx.AsyncClient, as_: Headers) -> AsyncIterator[Road]:
    with Watchdog() as watchdog:
        host = ModelHost(services.settings.runtime_dir, services.settings.bundle_dir, watchdog, lambda _event: None)
        host.start()
        yield Road(services, client, as_)
        await host.stop()


@pytest.fixture(scope="module")
async def live_model(road: Road, log_model: Callable[..., Any]) -> tuple[Road, str, str]:
    return await bring_to_life(road, log_model())
