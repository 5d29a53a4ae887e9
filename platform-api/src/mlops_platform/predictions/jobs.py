"""What the worker does with answered predictions: into the table, and into backgrounds of explanations."""

import os
from datetime import timedelta

import anyio
import orjson
import structlog

from mlops_platform.dependencies import Services
from mlops_platform.deployments import service as deployments
from mlops_platform.deployments.interfaces import RECENT_INPUTS, TRAINING_SAMPLE
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

# fewer rows say little about what a model is usually asked; SHAP's cost grows with more
_LEAST_ROWS, _MOST_ROWS = 20, 100
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
    for live in snapshot.revisions:
        bundle = services.bundles.shared_folder(live.bundle_path)
        if bundle is None or any(
            (bundle / name).exists() for name in ("background.json", TRAINING_SAMPLE, RECENT_INPUTS)
        ):
            continue
        rows = await anyio.to_thread.run_sync(
            services.prediction_log.window, live.model_name, live.version, now() - _RECENT, _MOST_ROWS
        )
        if len(rows) >= _LEAST_ROWS:
            columns = list(rows[0].inputs)
            content = {"columns": columns, "rows": [[row.inputs.get(name) for name in columns] for row in rows]}
            fresh = bundle / f".{RECENT_INPUTS}.{os.getpid()}"
            fresh.write_bytes(orjson.dumps(content))
            fresh.replace(bundle / RECENT_INPUTS)
            log.info("recent inputs kept for explanations", model=live.model_name, version=live.version, rows=len(rows))


JOBS = (
    Job("prediction-log", 2, _move, pipeline=True),
    Job("prediction-log-metrics", 10, measure, exclusive=False),
    Job("prediction-table-tidy", 900, tidy, pipeline=True),
    Job("explanation-backgrounds", 15, keep_backgrounds),
)
