"""Two API processes and two workers over one PostgreSQL, and the people who use them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import anyio
import httpx
import psutil
import yaml
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine

from mlops_platform.adapters.openssf.signer import OpenSsfSigner
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.settings import PACKAGE, Settings

from ..support.bundles import halves
from ..support.ports import free_port
from ..support.waiting import eventually

ROLES = {
    "ana@company.com": "data-scientist",
    "sam@company.com": "senior-data-scientist",
    "max@company.com": "manager",
    "ina@company.com": "architect",
    "eng@company.com": "ml-engineer",
    "aud@company.com": "auditor",
}
# what a log says when something went wrong that no person did
_TROUBLE = ("job failed", "deployment not reconciled", "build broke off", "unexpected error", "routes not read")


class Platform:
    """Everything in `home`; several processes of each kind, which may be killed."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.settings = Settings(home=home, database_url=SecretStr(database_url), policy_file=_quick_policy(home))
        self.engine: Engine = create_engine(database_url, isolation_level="REPEATABLE READ")
        # so that every process finds the same keys
        self._issuer = DevelopmentIssuer.from_settings(self.settings)
        self._tokens = {person: self._issuer.mint(person, [role], "default") for person, role in ROLES.items()}
        signer = OpenSsfSigner(self.settings.model_signing_key)
        anyio.run(signer.sign, halves(home / "prepared"))
        self._pool = ThreadPoolExecutor(4)
        self._nursery = self._start_nursery()
        ports = [free_port(), free_port()]
        self.processes = {
            f"api-{number}": self._fork("api", f"api-{number}", port) for number, port in enumerate(ports)
        }
        self.processes |= {f"worker-{number}": self._fork("worker", f"worker-{number}") for number in range(2)}
        self._clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) for port in ports]
        for number, client in enumerate(self._clients):
            eventually(lambda client=client: _healthy(client), 120, lambda number=number: self.log(f"api-{number}"))

    # --- processes

    def _start_nursery(self) -> "subprocess.Popen[str]":
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")},
            "MLOPS_HOME": str(self.home),
            "MLOPS_DATABASE_URL": self.settings.database_url.get_secret_value(),
            "MLOPS_DATABASE_POOL_SIZE": "5",
            "MLOPS_POLICY_FILE": str(self.settings.policy_file),
            # nothing listens here: the registry is a folder
            "MLOPS_MLFLOW_URL": "http://127.0.0.1:9",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.state.processes"],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert _pipe(process.stdout).readline() == "ready\n"
        return process

    def _fork(self, kind: str, name: str, *arguments: object) -> int:
        order = " ".join([kind, *map(str, arguments), str(self._log_file(name))])
        _pipe(self._nursery.stdin).write(f"{order}\n")
        _pipe(self._nursery.stdin).flush()
        return int(_pipe(self._nursery.stdout).readline())

    def kill_worker(self, number: int) -> None:
        """Kill a worker wherever it is, and start another in its place."""
        name = f"worker-{number}"
        os.kill(self.processes[name], signal.SIGKILL)
        self.processes[name] = self._fork("worker", name)

    def stop(self) -> None:
        self._pool.shutdown()
        for client in self._clients:
            client.close()
        for process in self.processes.values():
            if psutil.pid_exists(process):
                os.kill(process, signal.SIGKILL)
        self._nursery.terminate()
        self._nursery.wait(10)
        for pipe in (self._nursery.stdin, self._nursery.stdout):
            _pipe(pipe).close()
        self.engine.dispose()

    def _log_file(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def log(self, name: str) -> str:
        path = self._log_file(name)
        return path.read_text(errors="replace")[-3_000:] if path.exists() else "it wrote nothing"

    def trouble(self) -> list[str]:
        """Return the lines of all logs that tell of a defect."""
        return [
            f"{name}: {line}"
            for name in self.processes
            if self._log_file(name).exists()
            for line in self._log_file(name).read_text(errors="replace").splitlines()
            if any(sign in line for sign in _TROUBLE)
        ]

    def ended(self) -> list[str]:
        return [name for name, process in self.processes.items() if not psutil.pid_exists(process)]

    # --- people

    def ask(self, api: int, person: str, method: str, path: str, body: object = None) -> httpx.Response:
        """Send one request to one of the API processes. No answer may be an error of the server."""
        headers = {"Authorization": f"Bearer {self._tokens[person]}"}
        answer = self._clients[api].request(method, f"/api/v1{path}", headers=headers, json=body)
        assert answer.status_code < 500, f"{method} {path} {body}: {answer.status_code} {answer.text}"
        return answer

    def together(self, *requests: Callable[[], httpx.Response]) -> Sequence[httpx.Response]:
        """Send requests at the same moment."""
        return [future.result() for future in [self._pool.submit(request) for request in requests]]

    def fail_its_gate(self, revision_id: str) -> None:
        """From now on, half of this revision's requests fail."""
        (self.home / "failing" / revision_id).touch()


def _healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _quick_policy(home: Path) -> Path:
    """The shipped policy, rolled out in two steps within a second, and without gates that load tests measure."""
    policy: dict[str, Any] = yaml.safe_load((PACKAGE / "policy" / "policy.yaml").read_text())
    steps = [{"traffic": 0.5, "hold_seconds": 0.3}, {"traffic": 1.0, "hold_seconds": 0}]
    policy["rollouts"] = json.loads(
        json.dumps({place: dict.fromkeys(levels, steps) for place, levels in policy["rollouts"].items()})
    )
    for levels in policy["gates"]["required"].values():
        levels.update({level: [] for level in levels})
    home.mkdir(parents=True, exist_ok=True)
    path = home / "policy.yaml"
    path.write_text(yaml.safe_dump(policy))
    return path
