"""The commands against the real application, served by uvicorn over the real PostgreSQL."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from mlops_platform import bootstrap
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.local.readiness import http_status
from mlops_platform.settings import Settings

from ..support.ports import free_port
from ..support.waiting import until_started
from .conftest import Ran


@dataclass
class Served:
    url: str
    home: Path
    database_url: str

    def environment(self) -> dict[str, str]:
        return {
            "MLOPS_URL": self.url,
            "MLOPS_HOME": str(self.home),
            "MLOPS_DATABASE_URL": self.database_url,
            "MLOPS_PUBLIC_URL": self.url,
        }

    def record(self, count: int) -> None:
        """Write audit events as a room would."""

        async def write() -> None:
            settings = Settings(home=self.home, database_url=SecretStr(self.database_url))
            database = bootstrap.build_database(settings)
            for number in range(count):
                async with database.session() as session:
                    await audit.record(
                        session,
                        action=next(iter(Action)),
                        actor=SystemActor("worker"),
                        resource=f"thing:{number}",
                        tenant="default",
                        details={},
                    )
            await database.dispose()

        asyncio.run(write())


@pytest.fixture
def served(database_url: str, _truncate: Callable[[], None], tmp_path: Path) -> Iterator[Served]:
    _truncate()
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    served = Served(f"http://127.0.0.1:{port}", home, database_url)
    log = tmp_path / "api.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--factory", "mlops_platform.app:create", "--port", str(port)],
            env={**os.environ, **served.environment(), "MLOPS_PORT": str(port)},
            stdout=output,
            stderr=output,
        )
    until_started(process, lambda: http_status(f"{served.url}/health") is not None, log)
    yield served
    process.terminate()
    process.wait(15)


def test_signing_in_reading_and_proving_the_audit_log(mlops: Callable[..., Ran], served: Served) -> None:
    env = served.environment()
    anonymous = mlops("audit", "list", **env)
    assert anonymous.code == 4
    assert "mlops token" in anonymous.err

    saved = mlops("token", "eve@company.com", "--role", "viewer", "--save", **env)
    assert saved.code == 0, saved.err
    viewer = mlops("audit", "list", "--json", **env)
    assert viewer.code == 4
    assert viewer.problem["status"] == 403

    mlops("token", "ada@company.com", "--role", "auditor", "--save", **env)
    empty = mlops("audit", "head", "--json", **env)
    assert (empty.code, empty.problem["status"]) == (1, 404)

    served.record(120)
    listed = mlops("audit", "list", "--json", "--limit", "110", **env)
    assert listed.code == 0, listed.err
    assert [event["seq"] for event in listed.json["items"]] == list(range(120, 10, -1)), "two pages, newest first"
    assert mlops("audit", "head", "--json", **env).json["size"] == 120
    proof = mlops("audit", "verify", **env)
    assert proof.code == 0, proof.err
    assert "intact: 120 events" in proof.out


def test_an_edit_in_the_database_is_found_online_and_offline(mlops: Callable[..., Ran], served: Served) -> None:
    env = served.environment()
    mlops("token", "ada@company.com", "--role", "auditor", "--save", **env)
    served.record(5)
    assert mlops("audit", "verify", "--offline", **env).code == 0
    engine = create_engine(served.database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_heads WHERE size = 3"))
        connection.execute(text("DELETE FROM audit_events WHERE seq = 3"))
    engine.dispose()
    for where in ([], ["--offline"]):
        proof = mlops("audit", "verify", "--json", *where, **env)
        assert proof.code == 1
        assert proof.json["intact"] is False
        assert any("event 3" in problem["sentence"] for problem in proof.json["problems"])


def test_lists_of_an_empty_platform_say_what_to_do(mlops: Callable[..., Ran], served: Served) -> None:
    env = served.environment()
    mlops("token", "sam@company.com", "--role", "ml-engineer", "--save", **env)
    for arguments in (["models", "list"], ["deployments", "list"], ["approvals", "list", "--mine"]):
        ran = mlops(*arguments, **env)
        assert ran.code == 0, ran.err
        assert ran.out.strip()
        assert mlops(*arguments, "--json", **env).json["items"] == []


def test_what_does_not_exist_is_a_problem_not_a_traceback(mlops: Callable[..., Ran], served: Served) -> None:
    env = served.environment()
    mlops("token", "sam@company.com", "--role", "ml-engineer", "--save", **env)
    for arguments in (
        ["models", "show", "no-such-model"],
        ["models", "versions", "no-such-model"],
        ["deployments", "show", "00000000-0000-4000-8000-000000000000"],
        ["approvals", "show", "00000000-0000-4000-8000-000000000000"],
        ["predict", "no-such-model", "--input", '{"x": 1}'],
    ):
        ran = mlops(*arguments, "--json", **env)
        assert ran.code == 1, (arguments, ran.err)
        assert ran.problem["status"] == 404, (arguments, ran.err)
        assert ran.problem["request_id"]
    assert mlops("deployments", "show", "churn/staging", **env).code == 1
    assert mlops("approvals", "show", "no-such-approval", **env).code == 2
