"""Real parts for every test: PostgreSQL from the wheel, MLflow on top of it, tokens from the embedded issuer."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from mlops_platform import bootstrap
from mlops_platform.app import compose
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database import migrate
from mlops_platform.database.session import Database
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.settings import Settings

from .support.door import Door, running_door
from .support.ports import free_port
from .support.waiting import answers_well, until_started

# how long an example takes says something about the machine's other work, not about the code
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


_OPEN_TRANSACTIONS = """
    SELECT pid, state, now() - xact_start AS since, query FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""

pytest_plugins = ("tests.support.levels", "tests.support.loopback", "tests.support.ground")


@pytest.fixture(autouse=True)
def _no_experiment_of_another_test() -> Iterator[None]:
    """MLflow keeps the experiment somebody chose for the whole process, and for its children: on another server it is none."""
    yield
    fluent = sys.modules.get("mlflow.tracking.fluent")
    if fluent is not None:
        fluent._active_experiment_id = None  # type: ignore[attr-defined]  # MLflow's own, without a way to clear it
        os.environ.pop("MLFLOW_EXPERIMENT_ID", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An absent outside program is a printed reason, never a silent pass."""
    for item in items:
        for mark in item.iter_markers("external"):
            for tool in mark.args:
                if shutil.which(tool) is None:
                    item.add_marker(pytest.mark.skip(reason=f"not run: the program '{tool}' is not on the PATH"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), free_port(), fsync=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def database_url(postgres: EmbeddedPostgres) -> str:
    """A migrated database of this test process."""
    postgres.ensure_database("tests")
    url = postgres.url("tests")
    migrate.upgrade(url)
    return url


@pytest.fixture(scope="session")
def _truncate(database_url: str) -> Iterator[Callable[[], None]]:
    engine = create_engine(database_url)
    tables = [name for name in inspect(engine).get_table_names() if name != "alembic_version"]

    def truncate() -> None:
        try:
            with engine.begin() as connection:
                connection.execute(text("SET LOCAL lock_timeout = '20s'"))
                connection.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE"))
        except OperationalError as error:
            # something of an earlier test still works on these tables: say what, instead of waiting for ever
            with engine.connect() as connection:
                open_ = connection.execute(text(_OPEN_TRANSACTIONS)).all()
            raise AssertionError(f"an earlier test left transactions open: {open_}") from error

    yield truncate
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    mlflow_url = (
        request.getfixturevalue("mlflow_server") if "mlflow_server" in request.fixturenames else "http://127.0.0.1:9"
    )
    return Settings(home=tmp_path / "home", database_url=SecretStr(database_url), mlflow_url=mlflow_url)


@pytest.fixture
async def services(settings: Settings, _truncate: Callable[[], None]) -> AsyncIterator[BuiltServices]:
    """Every part, on an empty database and an empty home."""
    # in a thread: a session of this loop that is still open must be able to end
    await asyncio.to_thread(_truncate)
    built = bootstrap.build(settings)
    yield built
    await built.database.dispose()


@pytest.fixture
def database(services: BuiltServices) -> Database:
    return services.database


@pytest.fixture
async def client(services: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(services) as client:
        yield client


@asynccontextmanager
async def client_for(services: BuiltServices, **parts: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client on the whole application, optionally with other parts."""
    application = compose(replace(services, **parts) if parts else services)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
            yield client
    finally:
        # its background tasks would go on reading the database of the next test
        await application.stop()


@pytest.fixture
def issuer(services: BuiltServices) -> DevelopmentIssuer:
    return DevelopmentIssuer.from_settings(services.settings)


@pytest.fixture
def token_for(issuer: DevelopmentIssuer) -> Callable[..., str]:
    def mint(email: str, *roles: str, tenant: str = "default") -> str:
        return issuer.mint(email, list(roles) or ["viewer"], tenant)

    return mint


@pytest.fixture
def as_(token_for: Callable[..., str]) -> Callable[..., dict[str, str]]:
    """Headers of a person: `as_("ana@company.com", "manager", tenant="risk")`."""

    def headers(email: str, *roles: str, tenant: str = "default") -> dict[str, str]:
        return {"Authorization": f"Bearer {token_for(email, *roles, tenant=tenant)}"}

    return headers


@pytest.fixture
def principal() -> Callable[..., Principal]:
    def make(email: str, *roles: str, tenant: str = "default") -> Principal:
        return Principal(email, frozenset(Role(role) for role in roles), tenant)

    return make


@pytest.fixture(scope="session")
def artifact_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the MLflow server of this session keeps artifacts."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def mlflow_server(
    postgres: EmbeddedPostgres, artifact_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A real MLflow server on the same PostgreSQL, artifacts proxied from a folder."""
    postgres.ensure_database("mlflow")
    port = free_port()
    folder = tmp_path_factory.mktemp("mlflow")
    log = folder / "server.log"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", postgres.url("mlflow"), "--artifacts-destination", str(artifact_root)),
        *("--uvicorn-opts", "--loop uvloop"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={
                **os.environ,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_ENABLE_WORKSPACES": "true",
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    until_started(process, lambda: answers_well(f"{url}/health"), log, 120)
    yield url
    os.killpg(process.pid, 15)
    process.wait(15)


@pytest.fixture(scope="session")
def mlflow_door(mlflow_server: str, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The door of that MLflow server, as a process of its own."""
    with running_door(tmp_path_factory.mktemp("door"), mlflow_server, database_url) as door:
        yield door


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """A server that answers as AWS's; its URL. The module's processes have credentials that only it takes."""
    # half a second that only these tests need
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    before = dict(os.environ)
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    os.environ.clear()
    os.environ.update(before)
    server.stop()
