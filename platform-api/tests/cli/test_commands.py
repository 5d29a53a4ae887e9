"""Commands that need no platform: token, doctor, down, help; and what every command promises."""

import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from typer.main import get_command

from mlops_platform.cli.examples import EXAMPLES, words
from mlops_platform.cli.main import app
from mlops_platform.identity.development import DevelopmentIssuer

from ..support.ports import free_port
from .conftest import Ran


def _commands() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []

    def walk(command: object, name: str) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found.append((name, command))
            return
        for child, inner in children.items():
            walk(inner, f"{name} {child}".strip())

    walk(get_command(app), "")
    return found


@pytest.mark.parametrize(("name", "command"), _commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_says_what_it_does_and_speaks_json(name: str, command: object) -> None:
    assert (getattr(command, "help", "") or "").strip(), f"`mlops {name}` has no help"
    options = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
    assert "--json" in options, f"`mlops {name}` has no --json"


@pytest.mark.parametrize("name", [name for name, _ in _commands()])
def test_every_command_has_an_example_that_parses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("plan.json", "head.json", "proof.json", "rows.json", "team.yaml"):
        (tmp_path / file).write_text("[]")
    command: Any = get_command(app)
    arguments = words(EXAMPLES[name])
    # group by group, as the program does; what is left are the command's own
    for _ in name.split():
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(name, arguments)
    assert f"Example: {EXAMPLES[name]}" in command.epilog


def test_no_example_is_of_a_command_that_is_gone() -> None:
    assert EXAMPLES.keys() == {name for name, _ in _commands()}


def test_the_promised_commands_exist() -> None:
    names = {name for name, _ in _commands()}
    promised = {
        "up",
        "down",
        "status",
        "doctor",
        "token",
        "deploy",
        "predict",
        "models list",
        "models show",
        "models versions",
        "models register",
        "models delete",
        "deployments list",
        "deployments show",
        "deployments promote",
        "deployments pause",
        "deployments resume",
        "deployments rollback",
        "deployments undeploy",
        "approvals list",
        "approvals show",
        "approvals approve",
        "approvals reject",
        "approvals withdraw",
        "features retrieve",
        "features views",
        "features entities",
        "features push",
        "features materialize",
        "audit list",
        "audit head",
        "audit verify",
        "database upgrade",
        "database revision",
    }
    assert promised <= names


def test_help_imports_nothing_heavy() -> None:
    heavy = (
        "mlflow",
        "feast",
        "pandas",
        "numpy",
        "sqlalchemy",
        "httpx",
        "psycopg",
        "fastapi",
        "pydantic",
        "asyncio",
        "yaml",
    )
    code = f"import sys; import mlops_platform.cli.main; print(*(m for m in {heavy} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def test_the_command_says_its_version_and_completes_itself(mlops: Callable[..., Ran]) -> None:
    assert mlops("--version").out.startswith("mlops 0.")
    assert "--install-completion" in mlops("--help").out


def test_a_token_carries_subject_roles_tenant_and_lifetime(mlops: Callable[..., Ran], tmp_path: Path) -> None:
    ran = mlops(
        "token", "ana@company.com", "--role", "manager", "--role", "architect", "--tenant", "risk", "--hours", "2"
    )
    assert ran.code == 0, ran.err
    issuer = DevelopmentIssuer(
        tmp_path / "home" / "keys", "http://127.0.0.1:8000/issuer", "mlops-platform", "development"
    )
    claims = jwt.decode(ran.out.strip(), issuer.keys(), algorithms=["ES256"]).claims
    assert claims["sub"] == "ana@company.com"
    assert claims["roles"] == ["manager", "architect"]
    assert claims["tenant"] == "risk"
    assert claims["iss"] == "http://127.0.0.1:8000/issuer"
    assert claims["exp"] - time.time() == pytest.approx(7200, abs=60)


def test_a_saved_token_is_readable_by_its_owner_only(mlops: Callable[..., Ran], tmp_path: Path) -> None:
    ran = mlops("token", "ana@company.com", "--role", "viewer", "--save")
    assert "ey" not in ran.out, "a saved token is not printed"
    file = tmp_path / "home" / "keys" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("arguments", [["token", "a@b.com", "--role", "viewer"], ["up", "--detach"]])
def test_development_conveniences_refuse_production(
    mlops: Callable[..., Ran], tmp_path: Path, arguments: list[str]
) -> None:
    ran = mlops(*arguments, MLOPS_ENVIRONMENT="production")
    assert ran.code in {1, 4}
    assert "refuses" in ran.err
    assert not (tmp_path / "home").exists()


def test_down_without_a_platform_succeeds_and_says_so(mlops: Callable[..., Ran]) -> None:
    ran = mlops("down")
    assert ran.code == 0
    assert "no platform runs" in ran.out


def test_doctor_gives_a_verdict_per_check_and_changes_nothing(mlops: Callable[..., Ran], tmp_path: Path) -> None:

    free = [str(free_port()) for _ in range(3)]
    ran = mlops("doctor", "--json", "--port", free[0], "--mlflow-port", free[1], "--prometheus-port", free[2])
    verdicts = {finding["check"]: finding["verdict"] for finding in ran.json["findings"]}
    assert {"python", "packages", "disk", "home", "clock", "prometheus", "wrk", "chromium", "platform"} <= set(verdicts)
    assert ran.code == (0 if "fail" not in verdicts.values() else 1)
    assert not (tmp_path / "home").exists()


def test_doctor_names_the_holder_of_a_port(mlops: Callable[..., Ran]) -> None:
    import os
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = str(server.getsockname()[1])
        ran = mlops("doctor", "--json", "--port", port)
    found = {finding["check"]: finding for finding in ran.json["findings"]}[f"port {port}"]
    assert found["verdict"] == "fail"
    assert f"pid {os.getpid()}" in found["found"]
    assert "--port" in found["to_do"]
    assert ran.code == 1
