"""MLflow's entities as the models room knows them."""

from datetime import UTC, datetime
from typing import Any

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as MlflowModel

from mlops_platform.models.interfaces import RegisteredModel, RegisteredVersion


def model_of(entry: MlflowModel, tenant: str) -> RegisteredModel:
    """Return a registered model of a tenant."""
    created = time_of(entry.creation_timestamp)
    updated = time_of(entry.last_updated_timestamp or entry.creation_timestamp)
    return RegisteredModel(entry.name, entry.description or "", dict(entry.tags), created, updated, tenant)


def version_of(entry: ModelVersion, run: Run | None) -> RegisteredVersion:
    """Return a version with what its run says of it."""
    return RegisteredVersion(
        name=entry.name,
        version=int(entry.version),
        run_id=entry.run_id or None,
        source=entry.source or "",
        status=entry.status,
        description=entry.description or "",
        tags=dict(entry.tags),
        created_at=time_of(entry.creation_timestamp),
        updated_at=time_of(entry.last_updated_timestamp or entry.creation_timestamp),
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


def time_of(milliseconds: int) -> datetime:
    """Return MLflow's time, milliseconds since 1970, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
