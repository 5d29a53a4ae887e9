"""Comparing what live models were asked in the last hour with what they learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.kit.clock import now
from mlops_platform.monitoring import baseline
from mlops_platform.monitoring.drift import Report, compare, mean
from mlops_platform.predictions.interfaces import LoggedRow, PredictionLog

WINDOW = timedelta(hours=1)
# the newest rows of a busy hour: enough for ten bins, and a bounded read
MOST_ROWS = 5_000


@dataclass(frozen=True)
class ModelReport:
    """What was found for the revision of a model that answers most."""

    baseline_rows: int
    inputs: Report
    prediction_mean: float | None


def judged(revisions: Sequence[LiveRevision]) -> dict[str, LiveRevision]:
    """Return, by model, the revision that answers most, production before staging: the one that is judged."""
    found: dict[str, LiveRevision] = {}
    for live in sorted(revisions, key=lambda live: (live.environment == "production", live.traffic)):
        found[live.model_name] = live
    return found


def examine(live: LiveRevision, log: PredictionLog) -> ModelReport:
    """Compare the last hour of a revision with its training sample. Blocking: reads the prediction log."""
    sample = baseline.columns(Path(live.folder))
    rows = log.window(live.model_name, live.version, now() - WINDOW, MOST_ROWS)
    found = compare(sample, _columns(rows))
    return ModelReport(
        baseline_rows=max(map(len, sample.values()), default=0),
        inputs=Report(len(rows), found.features),
        prediction_mean=mean([row.prediction for row in rows]),
    )


def _columns(rows: Sequence[LoggedRow]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row.inputs)
    return {name: [row.inputs.get(name) for row in rows] for name in names}
