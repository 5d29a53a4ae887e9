"""What /metrics says when label values go, when processes die, and when the worker has a port of its own."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import Gauge, start_http_server

from mlops_platform.adapters.mlflow.registry import MlflowRegistry
from mlops_platform.database.errors import DatabaseUnavailable
from mlops_platform.database.session import Database
from mlops_platform.models.interfaces import RegistryUnavailable
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.exposition import exposition, registry
from mlops_platform.telemetry.gauges import Family

from ..support.ports import free_port

_CHILD = """
import sys
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family
metrics.approvals_pending.labels("manager").set(float(sys.argv[1]))
metrics.database_pool_in_use.labels("write").inc()
metrics.audit_events_total.labels("x").inc()
drift = Family(metrics.model_input_drift_psi)
drift.replace({("churn", "age"): 0.3, ("churn", "visits"): 0.1})
drift.replace({("churn", "age"): 0.4})
from mlops_platform.telemetry.exposition import exposition
sys.stdout.write(exposition().decode())
sys.stdout.flush()
if len(sys.argv) > 2:
    sys.stdin.read()
"""


def _lines(text: str, name: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(name)]


def _child(folder: Path, value: int, *more: str) -> "subprocess.Popen[str]":
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.Popen([sys.executable, "-c", _CHILD, str(value), *more], env=env, stdin=-1, stdout=-1, text=True)


def test_what_is_not_measured_any_more_is_not_shown() -> None:
    gauge = Gauge("test_gone", "For this test.", ["name"])
    family = Family(gauge)
    family.replace({("a",): 1.0, ("b",): 2.0})
    family.replace({("b",): 3.0})
    assert _lines(exposition().decode(), "test_gone{") == ['test_gone{name="b"} 3.0']
    family.replace({("a",): 4.0})
    assert _lines(exposition().decode(), "test_gone{") == ['test_gone{name="a"} 4.0']


def test_a_count_that_is_gone_is_zero() -> None:
    family = Family(Gauge("test_zero", "For this test.", ["name"]), gone=0)
    family.replace({("a",): 5.0})
    family.replace({})
    assert _lines(exposition().decode(), "test_zero{") == ['test_zero{name="a"} 0.0']


def test_of_several_processes_the_newest_gauge_counts_and_the_dead_are_forgotten(tmp_path: Path) -> None:
    first = _child(tmp_path, 7, "stay")
    assert first.stdout
    assert first.stdin
    first.stdout.readline()
    second, _ = _child(tmp_path, 3).communicate(timeout=60)
    assert _lines(second, "approvals_pending{") == ['approvals_pending{role="manager"} 3.0']
    assert _lines(second, 'database_pool_in_use{pool="write"}') == ['database_pool_in_use{pool="write"} 2.0'], (
        "one each"
    )
    assert _lines(second, "model_input_drift_psi{") == ['model_input_drift_psi{feature="age",model_name="churn"} 0.4']
    first.communicate(timeout=60)
    third, _ = _child(tmp_path, 5).communicate(timeout=60)
    assert _lines(third, 'database_pool_in_use{pool="write"}') == ['database_pool_in_use{pool="write"} 1.0']
    assert _lines(third, 'audit_events_total{action="x"}') == ['audit_events_total{action="x"} 3.0'], "counts outlive"


def test_a_worker_apart_answers_on_its_own_port() -> None:
    port = free_port()
    server, _ = start_http_server(port, "127.0.0.1", registry())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    server.shutdown()
    assert _lines(text, "# TYPE worker_job_runs_total")
    assert _lines(text, "worker_job_runs_total") or _lines(text, "prediction_log_rows_total")


async def test_connections_in_use_are_counted_and_given_back(database: Database) -> None:
    in_use = metrics.database_pool_in_use.labels("write")
    opened = metrics.database_connections_total.labels("write")
    before, counted = in_use._value.get(), opened._value.get()
    async with database.session() as session:
        await session.connection()
        assert in_use._value.get() == before + 1
        assert opened._value.get() == counted + 1
    assert in_use._value.get() == before


async def test_a_database_that_is_down_is_counted() -> None:
    down = Database(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none", 1)
    counter = metrics.database_unavailable_total.labels("read")
    before = counter._value.get()
    with pytest.raises(DatabaseUnavailable):
        async with down.read_session() as session:
            await session.connection()
    assert counter._value.get() == before + 1
    await down.dispose()


async def test_calls_to_an_mlflow_that_is_down_are_counted_as_such() -> None:
    counter = metrics.mlflow_requests_total.labels("ping", "unavailable")
    before = counter._value.get()
    with pytest.raises(RegistryUnavailable):
        await MlflowRegistry(f"http://127.0.0.1:{free_port()}").ping()
    assert counter._value.get() == before + 1
