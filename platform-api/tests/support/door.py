"""The door of MLflow as a process, and people who come to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mlops_platform.identity.development import DevelopmentIssuer

from .ports import free_port
from .waiting import answers_well, until_started

API = "/api/2.0/mlflow"
STORE = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass
class Door:
    """Where the door is, and the issuer whose tokens it takes."""

    url: str
    home: Path
    process: "subprocess.Popen[bytes]"
    issuer: DevelopmentIssuer

    def token(self, email: str = "ana@company.com", *roles: str, tenant: str = "default") -> str:
        return self.issuer.mint(email, list(roles) or ["data-scientist"], tenant)

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, trust_env=False, **more)

    def run(self, token: str, **files: bytes) -> tuple[str, str]:
        """Make a run with artifacts below `model`; return its id, and the place of its artifacts in the store."""
        made = self.ask("POST", f"{API}/runs/create", token, json={"experiment_id": "0", "start_time": 1})
        assert made.is_success, made.text
        info = made.json()["run"]["info"]
        place = str(info["artifact_uri"]).removeprefix("mlflow-artifacts:/")
        for name, content in files.items():
            put = self.ask("PUT", f"{STORE}/{place}/model/{name}", token, content=content)
            assert put.is_success, put.text
        return info["run_id"], place

    def register(self, token: str, name: str, **tags: str) -> tuple[str, str]:
        """Register a version of a small artifact; return the run's id and the place of its artifacts."""
        run_id, place = self.run(token, weights=b"1234")
        made = self.ask("POST", f"{API}/registered-models/create", token, json={"name": name})
        assert made.is_success or made.status_code == 400, made.text
        body = {
            "name": name,
            "source": f"mlflow-artifacts:/{place}/model",
            "run_id": run_id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        version = self.ask("POST", f"{API}/model-versions/create", token, json=body)
        assert version.is_success, version.text
        return run_id, place


@contextmanager
def running_door(folder: Path, mlflow_url: str, database_url: str, **env: str) -> Iterator[Door]:
    """Run the door in front of an MLflow server until the block ends."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "door.log"
    home = folder / "home"
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", "mlops_platform.mlflow_front:create", "--host", "127.0.0.1"),
        *("--port", str(port), "--loop", "uvloop", "--no-access-log", "--no-proxy-headers", "--http"),
        "mlops_platform.mlflow_door.uploads:UploadProtocol",
    ]
    settings = {
        "MLOPS_HOME": str(home),
        "MLOPS_DATABASE_URL": database_url,
        "MLOPS_MLFLOW_URL": mlflow_url,
        "MLOPS_MLFLOW_PUBLIC_URL": url,
        **env,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=output, stderr=output)
    try:
        until_started(process, lambda: answers_well(f"{url}/health"), log, 90)
        issuer = DevelopmentIssuer(home / "keys", "http://127.0.0.1:8000/issuer", "mlops-platform", "development")
        yield Door(url, home, process, issuer)
    finally:
        process.terminate()
        process.wait(15)
