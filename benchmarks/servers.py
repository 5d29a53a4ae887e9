"""Starting and ending the contenders."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str],
    ready_url: str,
    *,
    seconds: float = 90,
    env: dict[str, str] | None = None,
    well: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own until it answers (`well`: with 2xx); end the group afterwards."""
    process = subprocess.Popen(
        command,
        # servers start helpers by name (mlflow starts uvicorn): they must be this environment's
        env={
            **os.environ,
            "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}",
            **(env or {}),
        },
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + seconds
        while not _answers(ready_url, well=well):
            assert process.poll() is None, f"{command[:4]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[:4]} did not answer"
            time.sleep(0.2)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(url: str, *, well: bool) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return not well
    except OSError:
        return False


def kserve_environment(scikit_learn: str) -> Path | None:
    """Return the interpreter of an environment with the KServe SDK, made on first use; None when it cannot be made."""
    return _environment("kserve", "the KServe SDK", ["kserve==0.21.*", f"scikit-learn=={scikit_learn}", "joblib"])


def mlserver_environment() -> Path | None:
    """Return the interpreter of an environment with MLServer and its MLflow runtime, as `kserve_environment` does."""
    # 1.7 asks for an event loop where uvloop has none any more
    packages = ["mlserver==1.7.*", "mlserver-mlflow==1.7.*", "uvloop<0.22"]
    return _environment("mlserver", "MLServer", packages)


def _environment(name: str, peer: str, packages: list[str]) -> Path | None:
    folder = ROOT / ".bench" / name
    interpreter, whole = folder / "bin" / "python", folder / "installed"
    if whole.exists():
        return interpreter
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    try:
        subprocess.run([uv, "venv", "--quiet", "--clear", str(folder)], check=True, timeout=60)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(interpreter), *packages],
            check=True,
            timeout=600,
        )
    except (OSError, subprocess.SubprocessError) as error:
        print(f"  {peer} could not be installed, so it is not measured: {error}")
        return None
    whole.touch()
    return interpreter


class Platform:
    """The embedded platform in a home of its own, as `mlops up` starts it."""

    def __init__(self, home: Path, workers: int = 1, *, demo: bool = False) -> None:
        self.home = home
        self.port, self.mlflow_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mlflow_url = f"http://127.0.0.1:{self.mlflow_port}"
        self._prometheus_port = free_port()
        self._arguments = ["--workers", str(workers), *([] if demo else ["--no-demo"])]
        self.seconds_to_ready = 0.0

    def __enter__(self) -> Self:
        began = time.monotonic()
        self.up()
        self.seconds_to_ready = time.monotonic() - began
        return self

    def up(self) -> None:
        """Start it, or have a new supervisor take it over."""
        ports = [
            "--port",
            str(self.port),
            "--mlflow-port",
            str(self.mlflow_port),
            "--prometheus-port",
            str(self._prometheus_port),
        ]
        self.mlops("up", "--detach", *ports, *self._arguments)

    def __exit__(self, *_: object) -> None:
        self.mlops("down")

    def mlops(self, *arguments: str) -> str:
        """Run the command line on this home; return what it printed."""
        command = [str(Path(sys.executable).with_name("mlops")), *arguments]
        env = {**os.environ, "MLOPS_HOME": str(self.home)}
        result = subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=300)
        assert result.returncode == 0, f"mlops {arguments[0]}: {result.stdout[-800:]} {result.stderr[-800:]}"
        return result.stdout.strip()

    def pid(self, process: str) -> int:
        """Return the process id of a part of the platform."""
        running = json.loads(self.mlops("status", "--json"))["processes"]
        return next(int(part["pid"]) for part in running if part["process"] == process)

    @property
    def inner_mlflow(self) -> tuple[str, str]:
        """Return the address of MLflow behind its door, and the secret it demands."""
        port = (self.home / "run" / "mlflow-port").read_text()
        return f"http://127.0.0.1:{port}", (self.home / "keys" / "mlflow.secret").read_text().strip()

    def token(self, email: str, role: str) -> str:
        """Return a token of a person."""
        return self.mlops("token", email, "--role", role)
