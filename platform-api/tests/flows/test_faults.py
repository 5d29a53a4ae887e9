"""The real platform, started by `mlops up`, while its parts are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..support.waiting import eventually
from .platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_killed_model_process_is_restarted_and_says_so_meanwhile(platform: Platform, live: str) -> None:
    status = next((platform.home / "runtime" / "status").glob("*.json"))
    os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)
    during = platform.predict(live, return_explanations=True)
    if not during.is_success:
        assert during.status_code == 503
        assert int(during.headers["retry-after"]) >= 1
    assert platform.predict(live).is_success, "what is compiled needs no process"
    eventually(lambda: platform.predict(live, return_explanations=True).is_success)


def test_predictions_go_on_while_postgresql_is_dead_and_nothing_acknowledged_is_lost(
    platform: Platform, live: str
) -> None:
    before = platform.ask("GET", "/api/v1/audit/head", "aud@company.com", "auditor").json()["size"]
    postgres = platform.pid("postgres")
    refused = []
    os.kill(postgres, signal.SIGKILL)
    for _ in range(20):
        assert platform.predict(live).is_success, "a live model needs no database"
        refused.append(platform.ask("GET", "/api/v1/models", "ana@company.com", "data-scientist").status_code)
    assert set(refused) <= {200, 503}
    eventually(lambda: platform.ask("GET", "/api/v1/models", "ana@company.com", "data-scientist").is_success)
    verified = platform.ask("GET", "/api/v1/audit/verify", "aud@company.com", "auditor").json()
    assert verified["intact"], verified
    assert verified["events"] >= before


def test_a_worker_killed_in_the_middle_of_a_rollout_is_healed(platform: Platform, live: str) -> None:
    deployment = platform.deploy(live, "2")

    def state() -> str:
        shown = platform.ask("GET", f"/api/v1/deployments/{deployment}", "v@company.com", "viewer").json()
        return str(shown["revisions"][0]["state"])

    for _ in range(3):
        eventually(lambda: _alive(platform.pid("worker")))
        os.kill(platform.pid("worker"), signal.SIGKILL)
        time.sleep(0.7)
        if state() == "live":
            break
    eventually(lambda: state() == "live", 90)
    eventually(lambda: platform.predict(live).json()["model_version"] == "2")


def test_a_killed_platform_leaves_no_process_and_continues_with_all_data(platform: Platform, live: str) -> None:
    shown = json.loads(platform.status())
    pids = [entry["pid"] for entry in shown["processes"] if entry["pid"]]
    os.kill(platform.pid("supervisor"), signal.SIGKILL)
    eventually(lambda: not any(_alive(pid) for pid in pids), 30)
    platform.up()
    eventually(lambda: platform.predict(live).is_success)
    assert platform.ask("GET", "/api/v1/audit/verify", "aud@company.com", "auditor").json()["intact"]


def test_no_request_the_schema_allows_makes_the_server_fail(platform: Platform, live: str) -> None:
    # last: an administrator's made-up requests undeploy what the other tests need
    token = platform.mlops("token", "root@company.com", "--role", "platform-admin")
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program),
        "run",
        f"{platform.url}/api/openapi.json",
        "--header",
        f"Authorization: Bearer {token}",
        "--max-examples",
        "8",
        "--seed",
        "1",
        "--checks",
        "not_a_server_error,content_type_conformance",
        "--phases",
        "examples,coverage,fuzzing",
        "--exclude-path",
        "/metrics",
        "--continue-on-failure",
        "--max-time",
        "60",
    ]
    # in its own folder: it keeps a cache where it runs
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200, cwd=platform.home)
    assert result.returncode == 0, result.stdout[-6000:]


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
