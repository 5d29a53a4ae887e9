"""The processes of an embedded platform, as specifications, and the settings each gets."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from mlops_platform.local.home import Home
from mlops_platform.local.mlflow_server import secret_file
from mlops_platform.local.options import Options
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.local.process import Process, ProcessSpec
from mlops_platform.local.readiness import beats

# a laptop's predictions share its disk and two cores with who uploads a model
_ARTIFACT_BYTES_PER_SECOND = 100_000_000
# how often a process that is ready is asked whether it still turns
PROBE_SECONDS = 2.0
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    **({"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}),
}

_LITTLE = {
    # all jobs start at once, and each wants a connection then: PostgreSQL has a process for each that stays
    "MLOPS_DATABASE_POOL_KEPT": "3",
    # threads that come and go would each leave memory behind
    "MALLOC_ARENA_MAX": "2",
}


def settings_environment(
    options: Options, home: Home, counters: Path, database_url: str, inner_mlflow_url: str, *, prometheus: bool
) -> dict[str, str]:
    """Return the MLOPS_* variables of every platform process. Values the user exported win where they are not ours to set."""
    return {
        "MLOPS_HOME": str(home.folder),
        "MLOPS_HOST": options.host,
        "MLOPS_PORT": str(options.port),
        "MLOPS_API_WORKERS": str(options.workers),
        "MLOPS_START_SECONDS": str(options.start_seconds),
        "MLOPS_HUNG_SECONDS": str(options.hung_seconds),
        "MLOPS_DATABASE_URL": database_url,
        "MLOPS_MLFLOW_URL": inner_mlflow_url,
        "MLOPS_MLFLOW_PUBLIC_URL": options.mlflow_url,
        "MLOPS_MLFLOW_SECRET_FILE": str(secret_file(home)),
        "MLOPS_ARTIFACT_BYTES_PER_SECOND": os.environ.get(
            "MLOPS_ARTIFACT_BYTES_PER_SECOND", str(_ARTIFACT_BYTES_PER_SECOND)
        ),
        **({"MLOPS_PROMETHEUS_URL": options.prometheus_url} if prometheus else {}),
        # API processes and the worker count into one folder, so that /metrics answers for all of them
        "PROMETHEUS_MULTIPROC_DIR": str(counters),
        "PYTHONUNBUFFERED": "1",
        "FEAST_USAGE": "False",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def postgres(server: EmbeddedPostgres) -> ProcessSpec:
    """PostgreSQL: stopped last, by SIGINT (fast shutdown: sessions are cut, data is flushed)."""

    async def ready(_process: Process) -> bool:
        return await asyncio.to_thread(server.answers)

    async def alive(_process: Process) -> bool:
        return await asyncio.to_thread(server.lives)

    return ProcessSpec(
        name="postgres",
        argv=server.command(),
        ready=ready,
        stop_signal=signal.SIGINT,
        stop_seconds=15,
        ready_seconds=60,
        stage=2,
        alive=alive,
        probe_seconds=PROBE_SECONDS,
        url=f"postgresql://mlops@127.0.0.1:{server.port}/mlops",
    )


def migrations(env: dict[str, str]) -> ProcessSpec:
    """Bring the schema to the newest version, then end."""
    return ProcessSpec("migrations", [sys.executable, "-m", "mlops_platform.local.migrate"], env)


def demo(env: dict[str, str]) -> ProcessSpec:
    """Prepare the feature project, then end. A later run finds its work done."""
    return ProcessSpec("demo", [sys.executable, "-m", "mlops_platform.local.demo"], env, ready_seconds=600)


def api(options: Options, env: dict[str, str]) -> ProcessSpec:
    """The API, console and data plane: a parent that imports, and the processes that answer."""
    heartbeat = options.home / "run" / "api.alive"
    return ProcessSpec(
        name="api",
        argv=[sys.executable, "-m", "mlops_platform.api_server"],
        # a parent that forks has no other threads; macOS refuses forks of programs that have loaded some of its libraries
        env={**env, **_ONE_THREAD, "MLOPS_HEARTBEAT_FILE": str(heartbeat)},
        ready=beats(heartbeat),
        probe_seconds=PROBE_SECONDS,
        hands_over=True,
        stop_seconds=8,
        url=options.url,
    )


def worker(options: Options, env: dict[str, str]) -> ProcessSpec:
    """The worker that runs every room's jobs."""
    heartbeat = options.home / "run" / "worker.alive"
    # a job that is under way when we stop is killed after a while: every job is safe to kill at any point
    return ProcessSpec(
        name="worker",
        argv=[sys.executable, "-m", "mlops_platform.worker"],
        env={**env, **_LITTLE, "MLOPS_HEARTBEAT_FILE": str(heartbeat)},
        ready=beats(heartbeat),
        probe_seconds=PROBE_SECONDS,
        stop_seconds=5,
    )
