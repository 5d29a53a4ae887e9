"""The real platform, started by `mlops up`, as a person or a program outside meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from ..support.ports import free_port

ROW = {"age": 1.0, "income": 0.5, "visits": 0.1}


class Platform:
    """The embedded platform in a home of its own, and the people who use it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.mlflow_port, self.prometheus_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._tokens: dict[tuple[str, str], str] = {}
        # who is told is read again when a test changes it
        self.channels = home / "channels.yaml"
        self.channels.write_text("channels: []\n")

    def mlops(self, *arguments: str) -> str:
        program = Path(sys.executable).with_name("mlops")
        env = {**os.environ, "MLOPS_HOME": str(self.home), "MLOPS_CHANNELS_FILE": str(self.channels)}
        result = subprocess.run(
            [str(program), *arguments], check=False, capture_output=True, text=True, env=env, timeout=180
        )
        assert result.returncode == 0, f"mlops {arguments}: {result.stdout[-1500:]}{result.stderr[-1500:]}"
        return result.stdout.strip()

    def status(self) -> str:
        """The status as JSON, whether the platform is ready or not."""
        program = Path(sys.executable).with_name("mlops")
        env = {**os.environ, "MLOPS_HOME": str(self.home)}
        return subprocess.run(
            [str(program), "status", "--json"], check=False, capture_output=True, text=True, env=env
        ).stdout

    def up(self) -> None:
        ports = ("--port", self.port, "--mlflow-port", self.mlflow_port, "--prometheus-port", self.prometheus_port)
        self.mlops("up", "--detach", "--no-demo", *map(str, ports))
        # where MLflow's client of this process finds its token
        os.environ["MLOPS_HOME"] = str(self.home)

    def pid(self, process: str) -> int:
        shown = json.loads(self.status())
        return int(next(entry["pid"] or 0 for entry in shown["processes"] if entry["process"] == process))

    def ask(self, method: str, path: str, email: str, role: str, **arguments: Any) -> httpx.Response:
        token = self._tokens.get((email, role))
        if token is None:
            token = self._tokens[email, role] = self.mlops("token", email, "--role", role)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=30, **arguments)

    def predict(self, name: str, **more: Any) -> httpx.Response:
        body = {"model_name": name, "input_data": ROW, **more}
        return self.ask("POST", "/api/v1/predict", "ana@company.com", "data-scientist", json=body)

    def deploy(self, name: str, version: str = "1") -> str:
        body = {"model_name": name, "model_version": version, "target_stage": "staging", "justification": "test"}
        answer = self.ask("POST", "/api/v1/models/deploy", "ana@company.com", "data-scientist", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["deployment_id"])
