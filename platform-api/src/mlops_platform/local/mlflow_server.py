"""The embedded MLflow tracking server: one process, uvloop, job runners off, on the platform's own PostgreSQL.

`mlflow server` would import MLflow twice (a parent that only forwards signals, and the server), and its command line
takes the database URL; here uvicorn runs MLflow's application directly, with the settings `mlflow server` would pass.
"""

import sys

from mlops_platform.local.home import Home
from mlops_platform.local.process import ProcessSpec
from mlops_platform.local.readiness import answers


def mlflow_server(home: Home, host: str, port: int, database_url: str, platform_url: str) -> ProcessSpec:
    """Return the server: artifacts are proxied from <home>/artifacts, so clients need no shared folder."""
    url = f"http://{host}:{port}"
    return ProcessSpec(
        name="mlflow",
        argv=[
            sys.executable,
            "-m",
            "uvicorn",
            "mlflow.server.fastapi_app:app",
            "--host",
            host,
            "--port",
            str(port),
            "--workers",
            "1",
            "--loop",
            "uvloop",
            "--http",
            "httptools",
            "--no-access-log",
            "--timeout-graceful-shutdown",
            "3",
        ],
        env={
            # the names MLflow's own launcher sets (mlflow.server.constants); the pin mlflow==3.17.* keeps them true
            "_MLFLOW_SERVER_FILE_STORE": database_url,
            "_MLFLOW_SERVER_REGISTRY_STORE": database_url,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(home.folder / "artifacts"),
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SGI_NAME": "uvicorn",
            # its job runners keep both cores of a laptop busy for the first minute and hold 1.3 GB
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_TELEMETRY": "false",
            # localhost and 127.0.0.1 on any port, and nothing else: a web page of another origin gets no answer
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(dict.fromkeys(_hosts(host))),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(
                [f"http://localhost:{port}", f"http://127.0.0.1:{port}", platform_url]
            ),
        },
        # /health says nothing of the database: the first search creates the schema, before anybody else can race for it
        ready=answers(f"{url}/api/2.0/mlflow/experiments/search?max_results=1", timeout_seconds=60),
        ready_seconds=150,
        stop_seconds=6,
        stage=1,
        url=url,
        cwd=home.folder,
    )


def _hosts(host: str) -> list[str]:
    names = ["localhost", "127.0.0.1", "[::1]", host]
    return [pattern for name in names for pattern in (name, f"{name.replace('[', '[[]', 1)}:*")]
