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
from mlops_platform.failing.attempts import Item, attempts
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.predictions.bundles import fetch_bundles
from mlops_platform.predictions.process import ENOUGH_ROWS
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

# SHAP's cost grows with more
_MOST_ROWS = 100
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
    """Give live models that came without a training sample their recent inputs to be explained against.

    The first rows at once, more while they are few, and none after that: explanations of a row should not go on changing.
    """
    async with services.database.read_session() as session:
        snapshot = await deployments.live_routes(session, services.runtime.address)
    snapshot = await anyio.to_thread.run_sync(fetch_bundles, snapshot, services.bundles)
    tries = await attempts(
        services.database, "explanation-backgrounds", [live.revision_id for live in snapshot.revisions]
    )
    for live in snapshot.revisions:
        if not tries.due(live.revision_id):
            continue
        what = f"inputs to explain {live.model_name} version {live.version} with"
        async with tries.attempt(Item(live.revision_id, what, live.tenant)):
            await anyio.to_thread.run_sync(_keep_background, services, live)


def _keep_background(services: Services, live: LiveRevision) -> None:
    if any((Path(live.folder) / name).exists() for name in ("background.json", TRAINING_SAMPLE)):
        return
    known = rows_behind(services.bundles.beside(live.bundle, RECENT_INPUTS))
    if known >= ENOUGH_ROWS:
        return
    found = services.prediction_log.window(live.model_name, live.version, now() - _RECENT, _MOST_ROWS)
    content = sample([row.inputs for row in found]) if len(found) > known else None
    if content is not None:
        services.bundles.keep_beside(live.bundle, RECENT_INPUTS, content)
        log.info("recent inputs kept for explanations", model=live.model_name, version=live.version, rows=len(found))


def sample(inputs: Sequence[dict[str, Any]]) -> bytes | None:
    """Return the table that is sent with requests for explanations; None when there are no rows, or one is too large.

    `of` says how many rows were at hand: of wide rows only some fit.
    """
    at_hand = len(inputs)
    while inputs:
        columns = list(inputs[0])
        rows = [[row.get(name) for name in columns] for row in inputs]
        content = orjson.dumps({"columns": columns, "rows": rows, "of": at_hand})
        if len(content) <= _MOST_BYTES:
            return content
        inputs = inputs[: len(inputs) // 2]
    return None


def rows_behind(content: bytes | None) -> int:
    """Return how many rows were at hand when a table was kept; 0 for none and for what is no such table."""
    try:
        table = orjson.loads(content or b"{}")
        # tables that were kept before `of` existed had enough rows
        return int(table.get("of", len(table.get("rows", []))))
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return 0


JOBS = (
    Job("prediction-log", 2, _move, pipeline=True),
    Job("prediction-log-metrics", 10, measure, exclusive=False),
    Job("prediction-table-tidy", 900, tidy, pipeline=True),
    Job("explanation-backgrounds", 15, keep_backgrounds),
)
