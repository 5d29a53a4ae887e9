"""One platform, started by `mlops up` and stopped when the last test of this folder is done: idle, it would slow the others."""

from collections.abc import Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest

from ..flows.conftest import model, rows  # noqa: F401 - fixtures of the folder too
from ..support.waiting import eventually
from .platform import Platform


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("home"))
    platform.up()
    yield platform
    platform.mlops("down")


@pytest.fixture(scope="package")
def live(platform: Platform, model: Any, rows: pd.DataFrame) -> str:  # noqa: F811
    """A low-risk model that answers."""
    mlflow.set_tracking_uri(f"http://127.0.0.1:{platform.mlflow_port}")
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            model, name="model", input_example=rows.head(40), pip_requirements=["scikit-learn"]
        )
    for _ in range(2):
        mlflow.register_model(logged.model_uri, "survivor", tags={"risk_level": "low"})
    platform.deploy("survivor")
    eventually(lambda: platform.predict("survivor").is_success)
    eventually(lambda: platform.predict("survivor", return_explanations=True).is_success)
    return "survivor"
