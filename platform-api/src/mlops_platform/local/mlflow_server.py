"""The embedded MLflow tracking server, and the door in front of it: a process each.

The server: uvloop, job runners off, on the platform's own PostgreSQL. `mlflow server` would import MLflow twice (a parent that
only forwards signals, and the server), and its command line takes the database URL; here uvicorn runs MLflow's application
directly, with the settings `mlflow server` would pass, behind a secret (adapters/mlflow/guarded_server.py). It listens on a
loopback port that nobody types; people reach the door, at the address that was MLflow's.
"""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from mlops_platform.kit.keyfiles import load_or_create
from mlops_platform.local.home import Home
from mlops_platform.local.options import Options
from mlops_platform.local.process import ProcessSpec
from mlops_platform.local.readiness import answers, says_anything

_UVICORN = ("--workers", "1", "--loop", "uvloop", "--no-access-log")
_PROBE_SECONDS = 2.0
_BOUNDED = "mlops_platform.mlflow_door.uploads:UploadProtocol"


def secret_file(home: Home) -> Path:
    """Return where the secret lies that MLflow demands behind its door; made once, readable for this user only."""
    path = home.folder / "keys" / "mlflow.secret"
    load_or_create(path, lambda: secrets.token_hex(32).encode())
    return path


def mlflow_server(home: Home, port: int, database_url: str) -> ProcessSpec:
    """Return the server: artifacts are kept below <home>/artifacts, so clients need no shared folder."""
    url = f"http://127.0.0.1:{port}"
    secret = secret_file(home)
    return ProcessSpec(
        name="mlflow",
        argv=[
            *(sys.executable, "-m", "uvicorn", "mlops_platform.adapters.mlflow.guarded_server:app"),
            *(
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                *_UVICORN,
                "--http",
                "httptools",
                "--timeout-graceful-shutdown",
                "3",
            ),
        ],
        env={
            "MLOPS_MLFLOW_SECRET_FILE": str(secret),
            # its threads would each keep memory of their own
            "MALLOC_ARENA_MAX": "2",
            # the names MLflow's own launcher sets (mlflow.server.constants); the pin mlflow==3.17.* keeps them true
            "_MLFLOW_SERVER_FILE_STORE": database_url,
            "_MLFLOW_SERVER_REGISTRY_STORE": database_url,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(home.folder / "artifacts"),
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SGI_NAME": "uvicorn",
            # a tenant's things are in a workspace of its own
            "MLFLOW_ENABLE_WORKSPACES": "true",
            # the server reads its own store by this name: the address in a person's shell would be the door
            "MLFLOW_TRACKING_URI": database_url,
            "MLFLOW_REGISTRY_URI": database_url,
            # its job runners keep both cores of a laptop busy for the first minute and hold 1.3 GB
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_TELEMETRY": "false",
            # only the platform's processes ask, by this address
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port}",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": url,
        },
        # /health says nothing of the database: the first search creates the schema, before anybody else can race for it
        ready=answers(
            f"{url}/api/2.0/mlflow/experiments/search?max_results=1",
            timeout_seconds=60,
            bearer=secret.read_text().strip(),
        ),
        # 401 without the secret, from the event loop: an upload that keeps every thread busy is no hang
        alive=says_anything(url),
        probe_seconds=_PROBE_SECONDS,
        stop_seconds=6,
        stage=1,
        cwd=home.folder,
    )


def mlflow_door(options: Options, env: Mapping[str, str]) -> ProcessSpec:
    """Return the door: it listens where people look for MLflow."""
    return ProcessSpec(
        name="mlflow-door",
        argv=[
            *(sys.executable, "-m", "uvicorn", "--factory", "mlops_platform.mlflow_front:create"),
            *("--host", options.host, "--port", str(options.mlflow_port), *_UVICORN, "--http", _BOUNDED),
            *("--no-server-header", "--no-proxy-headers", "--log-level", "warning", "--timeout-graceful-shutdown", "5"),
        ],
        env=env,
        ready=answers(f"{options.mlflow_url}/health"),
        alive=says_anything(f"{options.mlflow_url}/"),
        probe_seconds=_PROBE_SECONDS,
        stop_seconds=8,
        url=options.mlflow_url,
    )
