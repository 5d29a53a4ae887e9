"""One model whose sample or rows cannot be compared costs no other model its figures."""

from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mlops_platform.adapters.delta.table import PredictionTableUnavailable
from mlops_platform.adapters.local.bundles import LocalBundles
from mlops_platform.database.session import Database
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.monitoring import jobs
from mlops_platform.predictions import jobs as prediction_jobs
from mlops_platform.predictions.interfaces import LoggedRow


def a_live(name: str, folder: Path) -> LiveRevision:
    (folder / name).mkdir()
    (folder / name / "bundle.json").write_text("{}")
    (folder / name / "example.json").write_text("{}")
    return LiveRevision(name, "t", "staging", 1, name, 1, 1.0, str(folder / name), "process", None, (), "low")


class Log:
    """A prediction log that fails for some models."""

    def __init__(self, failures: dict[str, Exception]) -> None:
        self._failures = failures

    def window(self, name: str, *_: Any) -> list[LoggedRow]:
        if name in self._failures:
            raise self._failures[name]
        return [LoggedRow({"a": float(number)}, answer) for number, answer in enumerate([0.5, None, [1.0, 2.0]] * 10)]


@asynccontextmanager
async def _session() -> Any:
    yield None


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    snapshot = RoutingSnapshot(1, tuple(a_live(name, tmp_path) for name in ("first", "poisoned", "last")))

    async def live_routes(_session: Any, _address: Any) -> RoutingSnapshot:
        return snapshot

    monkeypatch.setattr(jobs.deployments, "live_routes", live_routes)
    return SimpleNamespace(
        database=SimpleNamespace(read_session=_session),
        runtime=SimpleNamespace(address=None),
        bundles=LocalBundles(tmp_path),
        prediction_log=Log({"poisoned": TypeError("a row nobody foresaw")}),
    )


def value(metric: str, name: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"model_name": name})


async def test_drift_is_shown_for_every_other_model_and_the_failure_is_counted(parts: Any) -> None:
    before = value("drift_failures_total", "poisoned") or 0.0
    await jobs.watch_inputs(parts)
    assert [value("drift_rows_compared", name) for name in ("first", "poisoned", "last")] == [30.0, None, 30.0]
    assert value("prediction_mean", "last") == 0.75, "null is no answer, a list counts by its first"
    assert value("drift_failures_total", "poisoned") == before + 1


async def test_a_table_that_does_not_answer_fails_the_pass(parts: Any) -> None:
    parts.prediction_log = Log({"poisoned": PredictionTableUnavailable("away", retry_after=5)})
    with pytest.raises(PredictionTableUnavailable):
        await jobs.watch_inputs(parts)


async def test_backgrounds_are_kept_for_every_other_model(parts: Any, database: Database, tmp_path: Path) -> None:
    # what fails is kept for another try
    parts.database = database
    await prediction_jobs.keep_backgrounds(parts)
    kept = {path.parent.name for path in tmp_path.rglob("recent-inputs.json")}
    assert kept == {"first", "last"}
