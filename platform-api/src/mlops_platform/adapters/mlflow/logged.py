"""Files of a model that somebody logged, for a person's own machine: with the person's own rights, not the platform's."""

import os
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException


class NotGiven(Exception):
    """MLflow does not give these files; the message is its own first line."""


def fetch(model_uri: str, into: Path, tracking_url: str) -> Path:
    """Download a model (`runs:/RUN/model`, `models:/ID`, `models:/NAME/VERSION`) and return its folder. Raises NotGiven."""
    # a bar for each of five small files says nothing
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        return Path(download_artifacts(artifact_uri=model_uri, dst_path=str(into), tracking_uri=tracking_url))
    except (MlflowException, OSError) as error:
        raise NotGiven((str(error).splitlines() or [type(error).__name__])[0][:300]) from error
