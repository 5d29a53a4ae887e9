"""What the worker does with answered predictions: into the table, and into backgrounds of explanations."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import orjson
import structlog

from mlops_platform.builds.interfaces import RECENT_INPUTS, TRAINING_SAMPLE
from mlops_platform.dependencies import Services
from mlops_platform.deployments import service as deployments
from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.predictions.bundles import fetch_bundles
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.items import apart

log = structlog.get_logger(__name__)

# fewer rows say little about what a model is usually asked; SHAP's cost grows with more
_LEAST_ROWS, _MOST_ROWS = 20, 100
# it goes with every request for an explanation
_MOST_BYTES = 1_000_000
# and older days of the table are not opened
_RECENT = timedelta(days=7)


async def _move(services: Services) -> None:
    await anyio.to_thread.run_sync(services.prediction_log.move)


async def tidy(services: Services) -> None:
    """Join the small files that moving leaves; needs the right to delete, which no API has."""
    await anyio.to_thread.run_sync(services.prediction_log.tidy)


async def measure(services: Services) -> None:
    """Show what waits to be moved."""
    found = await anyio.to_thread.run_sync(services.prediction_log.backlog)
    metrics.prediction_log_pending_segments.set(found.segments)
    metrics.prediction_log_lag_seconds.set(found.oldest_seconds)


async def keep_backgrounds(services: Services) -> None:
    """Give live models that came without a training sample their recent inputs to be explained against, once."""
    async with services.database.read_session() as session:
        snapshot = await deployments.live_routes(session, services.runtime.address)
    snapshot = await anyio.to_thread.run_sync(fetch_bundles, snapshot, services.bundles)
    for live in snapshot.revisions:
        with apart("explanation-backgrounds", model=live.model_name, version=live.version):
            await anyio.to_thread.run_sync(_keep_background, services, live)


def _keep_background(services: Services, live: LiveRevision) -> None:
    if any((Path(live.bundle_path) / name).exists() for name in ("background.json", TRAINING_SAMPLE)):
        return
    if services.bundles.beside(live.published, RECENT_INPUTS) is not None:
        return
    found = services.prediction_log.window(live.model_name, live.version, now() - _RECENT, _MOST_ROWS)
    content = sample([row.inputs for row in found])
    if content is not None:
        services.bundles.keep_beside(live.published, RECENT_INPUTS, content)
        log.info("recent inputs kept for explanations", model=live.model_name, version=live.version)


def sample(inputs: Sequence[dict[str, Any]]) -> bytes | None:
    """Return the table that is sent with requests for explanations; None when the rows are too few or too large."""
    while len(inputs) >= _LEAST_ROWS:
        columns = list(inputs[0])
        content = orjson.dumps({"columns": columns, "rows": [[row.get(name) for name in columns] for row in inputs]})
        if len(content) <= _MOST_BYTES:
            return content
        inputs = inputs[: len(inputs) // 2]
    return None


JOBS = (
    Job("prediction-log", 2, _move, pipeline=True),
    Job("prediction-log-metrics", 10, measure, exclusive=False),
    Job("prediction-table-tidy", 900, tidy, pipeline=True),
    Job("explanation-backgrounds", 15, keep_backgrounds),
)
