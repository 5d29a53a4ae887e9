"""The real platform, started by `mlops up`, while its parts are killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
import psutil
import pytest

from mlops_platform.kit.ids import new_id

from ..support.waiting import eventually
from .platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


class Asking:
    """Four threads that ask for predictions without a pause, while the block runs; each failure is kept."""

    def __init__(self, platform: Platform, name: str) -> None:
        platform.predict(name)
        self.answers = 0
        self.failures: list[str] = []
        self._ask = lambda: platform.predict(name)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(4)]

    def _go_on(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._ask()
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
            else:
                self.answers += 1
                if not answer.is_success:
                    self.failures.append(answer.text)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a process that would mend the damage at once, so that what happens meanwhile is seen and not guessed."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_killed_model_process_is_restarted_and_who_asks_meanwhile_waits_for_it(platform: Platform, live: str) -> None:
    # other tests' models live on the same platform
    manager = ("max@company.com", "manager")
    (shown,) = platform.ask("GET", f"/api/v1/deployments?model_name={live}", *manager).json()["items"]
    revision = platform.ask("GET", f"/api/v1/deployments/{shown['id']}", *manager).json()["revisions"][0]["id"]
    status = platform.home / "runtime" / "status" / f"{revision}.json"
    assert platform.predict(live, return_explanations=True).is_success
    pid = eventually(lambda: json.loads(status.read_text())["pid"])
    with standing_still(platform.pid("supervisor")):
        os.kill(pid, signal.SIGKILL)
        assert platform.predict(live).is_success, "what is compiled needs no process"
    assert platform.predict(live, return_explanations=True).is_success
    eventually(lambda: json.loads(status.read_text())["pid"] not in {None, pid})


def test_predictions_go_on_while_postgresql_is_dead_and_nothing_acknowledged_is_lost(
    platform: Platform, live: str
) -> None:
    manager = ("max@company.com", "manager")
    (shown,) = platform.ask("GET", f"/api/v1/deployments?model_name={live}", *manager).json()["items"]
    reasons = [new_id() for _ in range(4)]

    def models() -> int:
        return platform.ask("GET", "/api/v1/models", "ana@company.com", "data-scientist").status_code

    with standing_still(platform.pid("supervisor")):
        for number, reason in enumerate(reasons):
            operation = "resume" if number % 2 else "pause"
            path = f"/api/v1/deployments/{shown['id']}/{operation}"
            assert platform.ask("POST", path, *manager, json={"reason": reason}).is_success
        os.kill(platform.pid("postgres"), signal.SIGKILL)
        # its other processes end when they notice
        eventually(lambda: models() == 503, 20)
        for _ in range(20):
            assert platform.predict(live).is_success, "a live model needs no database"
        assert models() == 503
    eventually(lambda: models() == 200)
    verified = platform.ask("GET", "/api/v1/audit/verify", "aud@company.com", "auditor").json()
    assert verified["intact"], verified
    history = platform.ask("GET", f"/api/v1/deployments/{shown['id']}", *manager).json()["history"]
    assert set(reasons) <= {event["details"].get("reason") for event in history}


def test_a_worker_killed_at_each_step_of_a_rollout_is_healed(platform: Platform, live: str) -> None:
    deployment = platform.deploy(live, "2")

    def state() -> str:
        shown = platform.ask("GET", f"/api/v1/deployments/{deployment}", "v@company.com", "viewer").json()
        found = str(shown["revisions"][0]["state"])
        assert found not in {"failed", "rejected", "rolled_back"}, shown
        return found

    seen = set()
    while (now := state()) != "live":
        seen.add(now)
        killed = platform.pid("worker")
        os.kill(killed, signal.SIGKILL)
        eventually(lambda killed=killed: platform.pid("worker") not in {0, killed} and _alive(platform.pid("worker")))
        eventually(lambda: state() not in seen, 90, state)
    assert seen, "it was live before anything was killed"
    eventually(lambda: platform.predict(live).json()["model_version"] == "2")


def test_a_killed_api_process_costs_the_requests_it_was_answering_and_its_parent_none(
    platform: Platform, live: str
) -> None:
    parent = platform.pid("api")
    processes = [child.pid for child in psutil.Process(parent).children()]
    assert len(processes) == 2
    with Asking(platform, live) as asking:
        os.kill(processes[0], signal.SIGKILL)
        eventually(
            lambda: len(now := psutil.Process(parent).children()) == 2 and processes[0] not in {c.pid for c in now}
        )
        eventually(lambda: asking.answers > 200)
    # four ask, each on a connection of its own each time
    assert len(asking.failures) <= 4, asking.failures
    with Asking(platform, live) as asking:
        os.kill(parent, signal.SIGKILL)
        eventually(lambda: platform.pid("api") not in {0, parent})
        eventually(lambda: not any(_alive(pid) for pid in processes[1:]))
    assert not asking.failures
    assert asking.answers > 20


def test_a_killed_supervisors_platform_answers_until_the_next_takes_it_over(platform: Platform, live: str) -> None:
    before = {entry["process"]: entry["pid"] for entry in json.loads(platform.status())["processes"]}
    told = [json.loads(path.read_text()) for path in (platform.home / "runtime" / "status").glob("*.json")]
    models = [each["pid"] for each in told if each["pid"] is not None]
    with Asking(platform, live) as asking:
        os.kill(platform.pid("supervisor"), signal.SIGKILL)
        platform.up()
        eventually(lambda: asking.answers > 50)
    assert not asking.failures
    after = {entry["process"]: entry["pid"] for entry in json.loads(platform.status())["processes"]}
    assert after.pop("supervisor") != before.pop("supervisor")
    # it ends with its owner; what was forked from it goes on
    for entries in (before, after):
        entries.pop("template of models", None)
    assert after == before
    assert all(_alive(pid) for pid in models)
    assert platform.predict(live, return_explanations=True).is_success
    assert platform.ask("GET", "/api/v1/audit/verify", "aud@company.com", "auditor").json()["intact"]


@pytest.mark.parametrize(
    "effort",
    [
        # the edges of the schema are the same each time; what is made up beyond them never is twice
        ["--phases", "examples,coverage"],
        pytest.param(
            ["--phases", "fuzzing", "--max-examples", "25", "--max-time", "300"],
            marks=pytest.mark.whole("makes up requests for five minutes; the edges of the schema are asked before it"),
        ),
    ],
    ids=["edges", "made up"],
)
def test_no_request_the_schema_allows_makes_the_server_fail(platform: Platform, live: str, effort: list[str]) -> None:
    # last: an administrator's made-up requests undeploy what the other tests need
    token = platform.mlops("token", "root@company.com", "--role", "platform-admin")
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program),
        "run",
        f"{platform.url}/api/openapi.json",
        "--header",
        f"Authorization: Bearer {token}",
        "--seed",
        "1",
        "--checks",
        "not_a_server_error,content_type_conformance",
        *effort,
        "--exclude-path",
        "/metrics",
        "--continue-on-failure",
        # the check of the whole audit log may take most of a minute before it answers that it goes on
        "--request-timeout",
        "60",
    ]
    # in its own folder: it keeps a cache where it runs
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, cwd=platform.home)
    assert result.returncode == 0, result.stdout[-6000:]


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
