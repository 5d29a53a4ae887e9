"""MLflow's entries as the models room knows them, and reading those that changed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as MlflowModel

from mlops_platform.models.interfaces import RegisteredModel, RegisteredVersion

_PAGE = 200
# changes within one millisecond of the last seen one may be seen later
_OVERLAP = timedelta(seconds=2)


def changed(search: Callable[..., Any], since: datetime | None) -> list[Any]:
    """Return what changed since a time, newest first, reading page by page; everything when there is no time."""
    found: list[Any] = []
    token: str | None = None
    oldest = (since - _OVERLAP).timestamp() * 1000 if since else 0
    while True:
        page = search(max_results=_PAGE, order_by=["last_updated_timestamp DESC"], page_token=token)
        for entry in page:
            if (entry.last_updated_timestamp or entry.creation_timestamp) < oldest:
                return found
            found.append(entry)
        token = page.token
        if not token:
            return found


def model_of(entry: MlflowModel, tenant: str) -> RegisteredModel:
    """Return a model as the models room knows it."""
    created = _time(entry.creation_timestamp)
    updated = _time(entry.last_updated_timestamp or entry.creation_timestamp)
    return RegisteredModel(entry.name, entry.description or "", dict(entry.tags), created, updated, tenant)


def version_of(entry: ModelVersion, run: Run | None) -> RegisteredVersion:
    """Return a version as the models room knows it, with what its run says."""
    return RegisteredVersion(
        name=entry.name,
        version=int(entry.version),
        run_id=entry.run_id or None,
        source=entry.source or "",
        status=entry.status,
        description=entry.description or "",
        tags=dict(entry.tags),
        created_at=_time(entry.creation_timestamp),
        updated_at=_time(entry.last_updated_timestamp or entry.creation_timestamp),
        metrics=dict(run.data.metrics) if run else {},
        params=dict(run.data.params) if run else {},
        lineage=_lineage(entry, run),
    )


def _lineage(entry: ModelVersion, run: Run | None) -> dict[str, Any]:
    lineage: dict[str, Any] = {"run_id": entry.run_id or None, "source": entry.source, "model_id": entry.model_id}
    if run:
        tags = run.data.tags
        lineage |= {
            "experiment_id": run.info.experiment_id,
            "run_name": run.info.run_name,
            "user": tags.get("mlflow.user"),
            "code": tags.get("mlflow.source.name"),
            "git_commit": tags.get("mlflow.source.git.commit"),
            "datasets": [
                {"name": used.dataset.name, "digest": used.dataset.digest, "source_type": used.dataset.source_type}
                for used in run.inputs.dataset_inputs
            ],
        }
    if uri := entry.tags.get("training_dataset_uri"):
        lineage["training_dataset_uri"] = uri
    return lineage


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
