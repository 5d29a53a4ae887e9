"""The commands against the real application, served by uvicorn over the real PostgreSQL."""

import asyncio
import base64
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from mlops_platform import bootstrap
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.local.readiness import http_status
from mlops_platform.settings import Settings

from ..support.ports import free_port
from ..support.waiting import until_started
from .conftest import Ran

WORKER = SystemActor("worker")


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

    def record(self, count: int, actor: SystemActor | Principal = WORKER) -> None:
        """Write audit events as a room would."""

        async def write() -> None:
            settings = Settings(home=self.home, database_url=SecretStr(self.database_url))
            database = bootstrap.build_database(settings)
            for number in range(count):
                async with database.session() as session:
                    await audit.record(
                        session,
                        action=next(iter(Action)),
                        actor=actor,
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


def test_a_person_is_erased_by_an_administrator_who_means_it(mlops: Callable[..., Ran], served: Served) -> None:
    env = served.environment()
    served.record(2, Principal("zoe@company.com", frozenset({Role("data-scientist")}), "default"))
    mlops("token", "ada@company.com", "--role", "auditor", "--save", **env)
    assert mlops("audit", "erase", "zoe@company.com", "--yes", **env).code != 0
    mlops("token", "dpo@company.com", "--role", "platform-admin", "--save", **env)
    assert mlops("audit", "erase", "zoe@company.com", **env).code != 0, "nobody said yes"
    assert "zoe@company.com" in mlops("audit", "list", **env).out
    erased = mlops("audit", "erase", "zoe@company.com", "--yes", "--json", **env)
    assert erased.json["events"] == 2
    assert "zoe@company.com" not in mlops("audit", "list", **env).out
    assert mlops("audit", "erase", "nobody@company.com", "--yes", **env).code == 1
    mlops("token", "ada@company.com", "--role", "auditor", "--save", **env)


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


def test_a_command_line_is_signed_in_by_a_browser_and_signed_out(mlops: Callable[..., Ran], served: Served) -> None:
    env = served.environment()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
    command = [sys.executable, "-m", "mlops_platform.cli.main", "login", "--no-browser"]
    with subprocess.Popen(command, env={**clean, **env}, stdout=subprocess.PIPE, text=True) as login:
        assert login.stdout is not None
        asked = login.stdout.readline()
        found = re.search(r"Open (\S+) and type this code: (\S+)", asked)
        assert found is not None, asked
        form = {"user_code": found.group(2), "who": "max"}
        httpx.post(found.group(1), data=form, trust_env=False).raise_for_status()
        said = login.stdout.read()
        assert login.wait(60) == 0
    assert "signed in as max@company.com (manager; team default)" in said
    for file in ("token", "login.json"):
        assert stat.S_IMODE((served.home / "keys" / file).stat().st_mode) == 0o600
    assert mlops("whoami", "--json", **env).json["subject"] == "max@company.com"
    # the access token is about to end: the next commands renew it, together, once
    kept = (served.home / "keys" / "login.json").read_text()
    (served.home / "keys" / "token").write_text(_ended((served.home / "keys" / "token").read_text()))
    together = [
        subprocess.Popen([*command[:-2], "whoami"], env={**clean, **env}, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate()[0].startswith("max@company.com") for process in together] == [True] * 3
    assert (served.home / "keys" / "login.json").read_text() != kept
    out = mlops("logout", "--json", **env)
    assert out.json == {"signed_out": True, "ended_at_provider": True}
    assert mlops("whoami", **env).code == 4


def _ended(token: str) -> str:
    header, claims, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    claims = base64.urlsafe_b64encode(json.dumps({**said, "exp": 1}).encode()).decode().rstrip("=")
    return f"{header}.{claims}.{signature}"
