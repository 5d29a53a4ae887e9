"""What API processes are forked from: a control plane that has answered, and shares nothing that has one owner."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_platform.local.feature_project import ensure

_PARENT = """
import asyncio, json, os, stat, sys, threading
from mlops_platform import api_server, app
from mlops_platform.settings import Settings

control_plane = api_server.prepared(Settings())
pools = control_plane.state.services.database
said = {
    "threads": threading.active_count(),
    "sockets": sum(stat.S_ISSOCK(os.fstat(int(each)).st_mode) for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")),
    "connections": pools.engine.pool.checkedin() + pools.engine.pool.checkedout(),
    "loop": asyncio.get_event_loop_policy()._local._loop is not None,
    "names": [],
}
for _ in range(2):
    reading, writing = os.pipe()
    if os.fork() == 0:
        gateway = app.create(control_plane)
        os.write(writing, gateway._process.encode())
        os._exit(0)
    os.close(writing)
    said["names"].append(os.read(reading, 100).decode())
    os.wait()
print(json.dumps(said))
"""
_DOOR = """
from mlops_platform import mlflow_front
from mlops_platform.bootstrap import build_front
from mlops_platform.settings import Settings
mlflow_front.compose(build_front(Settings()))
"""
_FEATURES = """
from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.settings import Settings
FeastStore(Settings().feast_folder).views()
"""
_WORKER = """
import mlops_platform.worker
from mlops_platform.bootstrap import build
from mlops_platform.settings import Settings
build(Settings())
"""
_IMPORTED = """
import sys
{code}
print(*(name for name in {unwanted!r} if name in sys.modules))
"""


def _python(code: str, home: Path) -> str:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")},
        "MLOPS_HOME": str(home),
        "MLOPS_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/nothing",
        "MLOPS_MLFLOW_URL": "http://127.0.0.1:9",
    }
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().splitlines()[-1] if ran.stdout.strip() else ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_prepared_parent_has_one_thread_and_no_connection_and_its_children_names_of_their_own(tmp_path: Path) -> None:
    # neither PostgreSQL nor MLflow answers: a parent asks nobody
    said = json.loads(_python(_PARENT, tmp_path))
    names = said.pop("names")
    assert said == {"threads": 1, "sockets": 0, "connections": 0, "loop": False}
    assert len(set(names)) == 2
    assert all(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (_DOOR, ["mlflow", "pandas", "numpy"]),
        (_FEATURES, ["dask", "scipy.stats"]),
        (_WORKER, ["duckdb", "dask", "onnxruntime", "sklearn"]),
    ],
    ids=["door", "features", "worker"],
)
def test_what_a_process_does_not_need_at_its_start_is_not_imported(
    tmp_path: Path, code: str, unwanted: list[str]
) -> None:
    ensure(tmp_path / "feast")
    assert _python(_IMPORTED.format(code=code, unwanted=unwanted), tmp_path) == ""
