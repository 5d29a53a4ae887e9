"""`mlops up` with every real process: ready, twice, killed, continued, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from mlops_platform.local import state as states
from mlops_platform.local.home import Home
from mlops_platform.local.readiness import http_status
from model_server.sandbox import landlock

from ..support.ports import free_port
from ..support.waiting import eventually
from .conftest import Ran

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

IDLE_MB = 1_000
# by then every job of the worker has run, but for those that run once in minutes
_AT_REST_SECONDS = 60


class Platform:
    """One home, started detached as often as a test likes."""

    def __init__(self, folder: Path, mlops: Callable[..., Ran]) -> None:
        self.home = Home.at(folder)
        self._mlops = mlops
        ports = [str(free_port()) for _ in range(3)]
        self.arguments = ["--port", ports[0], "--mlflow-port", ports[1], "--prometheus-port", ports[2], "--no-demo"]
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.mlflow = f"http://127.0.0.1:{ports[1]}"

    def run(self, *arguments: str) -> Ran:
        return self._mlops(*arguments, "--home", str(self.home.folder))

    def up(self) -> Ran:
        return self.run("up", "--detach", *self.arguments)

    @property
    def state(self) -> states.PlatformState:
        state = states.read(self.home.run / "state.json")
        assert state is not None
        return state

    def processes(self) -> list[psutil.Process]:
        """Every living process of this home, found by its environment or command line, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join(process.cmdline())
                mine = str(self.home.folder) in words or process.environ().get("MLOPS_HOME") == str(self.home.folder)
                if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def megabytes(self) -> dict[str, float]:
        """Return the proportional share of memory (PSS) of each part and everything below it; what jobs start and end is not at rest."""
        state = self.state
        parts = {"supervisor": state.supervisor_pid, "watchdog": state.watchdog_pid}
        parts |= {name: child.pid for name, child in state.children.items()}
        below = psutil.Process(state.supervisor_pid).children(recursive=True)
        shares = dict.fromkeys([*parts, "others"], 0.0)
        names = {pid: name for name, pid in parts.items() if pid is not None}
        for process in [psutil.Process(state.supervisor_pid), *below]:
            try:
                family = [process, *process.parents()]
                name = next((names[one.pid] for one in family if one.pid in names), "others")
                # who has just died, or is being made, is at rest in the next look
                shares[name] += process.memory_full_info().pss / 1e6
            except psutil.NoSuchProcess:
                continue
        return shares

    def eventually(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        eventually(condition, seconds, lambda: [(process.pid, process.cmdline()) for process in self.processes()])


@pytest.fixture
def platform(tmp_path: Path, mlops: Callable[..., Ran]) -> Iterator[Platform]:
    platform = Platform(tmp_path / "platform", mlops)
    yield platform
    platform.run("down")
    for process in platform.processes():
        process.kill()


def _query(state: states.PlatformState, home: Home, statement: str) -> list[tuple[object, ...]]:
    address = state.children["postgres"].url
    assert address is not None
    password = (home.folder / "postgres" / "password").read_text()
    with psycopg.connect(address, password=password, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _kept_from_the_key_of_statements(platform: Platform) -> None:
    if landlock.why_not(landlock.abi()) is not None:
        return
    key = platform.home.folder / "signing" / "statements.pem"
    assert "PRIVATE KEY" in key.read_text()
    with pytest.raises(psycopg.Error, match="Permission denied"):
        _query(platform.state, platform.home, f"SELECT pg_read_file('{key}')")
    confined = {
        name
        for name, child in platform.state.children.items()
        if "NoNewPrivs:\t1" in Path(f"/proc/{child.pid}/status").read_text()
    }
    assert confined == {"postgres", "mlflow", "mlflow-door", "api"}


def test_up_twice_status_a_killed_child_and_down(platform: Platform) -> None:
    first = platform.up()
    assert first.code == 0, first.err + first.out
    assert "The platform is ready" in first.out
    assert platform.url in first.out
    status, body = http_status(f"{platform.url}/ready") or (0, b"")
    assert status == 200, body

    again = platform.up()
    assert again.code == 0
    assert "already runs" in again.out
    assert platform.url in again.out

    shown = platform.run("status", "--json")
    assert shown.code == 0, shown.err
    names = {process["process"] for process in shown.json["processes"]}
    assert {"supervisor", "postgres", "mlflow", "mlflow-door", "api", "worker"} <= names
    assert all(process["memory_mb"] for process in shown.json["processes"])

    examined = platform.run("doctor", "--json").json["findings"]
    ports = {one["check"]: one for one in examined if one["check"].startswith("port ")}
    assert f"port {platform.arguments[1]}" in ports
    assert "port 8000" not in ports
    assert all(one["verdict"] == "ok" and "own" in one["found"] for one in ports.values()), ports

    password = (platform.home.folder / "postgres" / "password").read_text()
    for process in platform.processes():
        assert password not in " ".join(process.cmdline()), "a secret is on a command line"

    _kept_from_the_key_of_statements(platform)

    api = platform.state.children["api"].pid
    assert api is not None
    os.kill(api, signal.SIGKILL)
    platform.eventually(lambda: platform.state.children["api"].restarts == 1)
    platform.eventually(lambda: (http_status(f"{platform.url}/ready") or (0,))[0] == 200)

    began = time.monotonic()
    assert platform.run("down").code == 0
    assert time.monotonic() - began < 20
    assert platform.processes() == []
    assert platform.run("status").code == 3


@pytest.mark.whole("starts a platform with its demonstration, and waits for a minute until it is at rest")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much of a shared page is whose")
def test_an_idle_platform_with_two_api_processes_holds_at_most_a_gigabyte(platform: Platform) -> None:
    platform.arguments.remove("--no-demo")
    assert platform.up().code == 0
    children = platform.state.children
    assert len(psutil.Process(children["api"].pid).children()) == 2
    worker = psutil.Process(children["worker"].pid)

    def small() -> bool:
        rested = time.time() - worker.create_time() > _AT_REST_SECONDS and not worker.children()
        return rested and sum(platform.megabytes().values()) <= IDLE_MB

    def table() -> str:
        shares = platform.megabytes()
        rows = "".join(f"\n  {name:<12} {share:6.1f}" for name, share in shares.items())
        return f"{sum(shares.values()):.0f} MB, more than {IDLE_MB}: {rows}"

    eventually(small, 60, table)


@pytest.mark.whole("waits for the minute in which a successor may come; tests/local does so with seconds")
def test_a_killed_supervisor_leaves_no_orphans_and_the_next_up_has_all_data(platform: Platform) -> None:
    assert platform.up().code == 0
    _query(platform.state, platform.home, "CREATE TABLE kept (n int)")
    _query(platform.state, platform.home, "INSERT INTO kept VALUES (42)")
    supervisor = platform.state.supervisor_pid
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    platform.eventually(lambda: platform.processes() == [], 30)

    second = platform.up()
    assert second.code == 0, second.err + second.out
    assert _query(platform.state, platform.home, "SELECT n FROM kept") == [(42,)]


@pytest.mark.whole("starts a platform of its own; tests/running kills the database too")
def test_a_killed_database_comes_back_with_its_data(platform: Platform) -> None:
    assert platform.up().code == 0
    _query(platform.state, platform.home, "CREATE TABLE kept AS SELECT 42 AS n")
    postgres = platform.state.children["postgres"].pid
    assert postgres is not None
    os.kill(postgres, signal.SIGKILL)
    platform.eventually(lambda: platform.state.children["postgres"].restarts >= 1)
    platform.eventually(lambda: platform.state.children["postgres"].state == "ready")
    assert _query(platform.state, platform.home, "SELECT n FROM kept") == [(42,)]
    platform.eventually(lambda: (http_status(f"{platform.url}/ready") or (0,))[0] == 200)


def test_ctrl_c_in_the_foreground_stops_everything_and_even_while_starting(platform: Platform) -> None:
    for words in ("ready  postgres", "The platform is ready"):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlops_platform.cli.main",
                "up",
                "--home",
                str(platform.home.folder),
                *platform.arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if words in line:
                break
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        assert process.wait(30) == 0, output
        assert "all data is kept" in output
        assert "Traceback" not in output
        assert time.monotonic() - began < 20
        platform.eventually(lambda: platform.processes() == [], 5)


def test_a_taken_port_is_named_before_anything_starts(platform: Platform) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", int(platform.arguments[3])))
        server.listen()
        for detach in ([], ["--detach"]):
            ran = platform.run("up", *detach, *platform.arguments)
            assert ran.code == 1
            assert f"port {platform.arguments[3]} is taken by" in ran.err
            assert f"pid {os.getpid()}" in ran.err
            assert "--mlflow-port" in ran.err
    assert not (platform.home.folder / "postgres").exists()


@pytest.mark.whole("starts a platform of its own")
def test_mlflow_serves_runs_and_artifacts_over_http_without_job_runners(platform: Platform, tmp_path: Path) -> None:
    assert platform.up().code == 0
    code = (
        "import mlflow, pathlib, sys; mlflow.set_tracking_uri(sys.argv[1]); f=pathlib.Path(sys.argv[2]); f.write_text('hello')\n"
        "with mlflow.start_run() as run: mlflow.log_artifact(str(f))\n"
        "print(mlflow.artifacts.load_text(f'runs:/{run.info.run_id}/note.txt'))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, platform.mlflow, str(tmp_path / "note.txt")],
        capture_output=True,
        text=True,
        check=False,
        # all that MLflow's client needs to find its token
        env={**os.environ, "MLOPS_HOME": str(platform.home.folder)},
    )
    assert "hello" in ran.stdout, ran.stderr
    assert list((platform.home.folder / "artifacts").rglob("note.txt"))
    mlflow = psutil.Process(platform.state.children["mlflow"].pid)
    assert mlflow.children(recursive=True) == [], "one worker in one process, and no job runners"
    # a page of another site that resolves its name to this machine has no token: it gets no answer (DNS rebinding)
    import urllib.error
    import urllib.request

    request = urllib.request.Request(
        f"{platform.mlflow}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": "evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 401
    inner = (platform.home.folder / "run" / "mlflow-port").read_text()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{inner}/api/2.0/mlflow/experiments/search?max_results=1")
    assert refused.value.code == 401
    assert (platform.home.folder / "keys" / "mlflow.secret").stat().st_mode & 0o077 == 0


@pytest.mark.external("prometheus")
def test_prometheus_scrapes_the_api_every_five_seconds(platform: Platform) -> None:
    assert platform.up().code == 0
    url = platform.state.urls["prometheus"]

    def scraped() -> bool:
        answer = http_status(f"{url}/api/v1/query?query=up%7Bjob%3D%22platform-api%22%7D")
        result = json.loads(answer[1])["data"]["result"] if answer else []
        return bool(result) and result[0]["value"][1] == "1"

    platform.eventually(scraped, 30)
