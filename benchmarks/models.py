"""The two models that are measured, and how they come to answer: registered and deployed as anybody would."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import requests
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.load import Result, wrk
from benchmarks.servers import Platform

COLUMNS = [f"x{index}" for index in range(20)]
LOGISTIC, BOOSTING = "bench-logistic", "bench-boosting"
MODELS = {
    LOGISTIC: lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    BOOSTING: lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
}


class NotLive(SystemExit):
    """A model did not answer in time."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} did not go live")


def row() -> dict[str, float]:
    """Return the row that is asked about."""
    return {
        name: round(float(value), 6)
        for name, value in zip(COLUMNS, np.random.default_rng(1).normal(size=20), strict=True)
    }


def train(name: str) -> tuple[Any, pd.DataFrame]:
    """Return a fitted model and its training data; the same each time."""
    data, target = make_classification(2_000, 20, n_informative=10, random_state=0)
    frame = pd.DataFrame(data, columns=COLUMNS)
    return MODELS[name]().fit(frame, target), frame


def deploy(platform: Platform, token: str, name: str, log: Callable[[], Any] | None = None) -> Path:
    """Register and deploy a model; return its bundle once it answers. Raises NotLive.

    `log` logs it in a run and returns what MLflow's client says; one of the two models above when not given.
    """
    mlflow.set_tracking_uri(platform.mlflow_url)
    # where MLflow's client finds its token
    os.environ["MLOPS_HOME"] = str(platform.home)
    with mlflow.start_run():
        logged = log() if log else _logged(name)
    mlflow.register_model(logged.model_uri, name, tags={"risk_level": "low"})
    body = {
        "model_name": name,
        "model_version": "1",
        "target_stage": "staging",
        "justification": "benchmark",
    }
    headers = {"Authorization": f"Bearer {token}"}
    requests.post(f"{platform.url}/api/v1/models/deploy", json=body, headers=headers, timeout=60).raise_for_status()
    deadline = time.monotonic() + 120
    question = {"model_name": name, "input_data": row()}
    while not requests.post(f"{platform.url}/api/v1/predict", json=question, headers=headers, timeout=10).ok:
        if time.monotonic() > deadline:
            raise NotLive(name)
        time.sleep(0.3)
    return next((platform.home / "bundles").glob(f"*-{name}-1"))


def _logged(name: str) -> Any:
    model, frame = train(name)
    return mlflow.sklearn.log_model(
        model,
        name="model",
        input_example=frame.head(50),
        serialization_format="cloudpickle",
    )


def predict(
    platform: Platform,
    token: str,
    name: str,
    *,
    connections: int,
    seconds: float,
    pause_ms: int = 0,
) -> Result:
    """Measure the full path: one row over keep-alive connections, each of which pauses before a request."""
    body = json.dumps({"model_name": name, "input_data": row()})
    return wrk(
        f"{platform.url}/api/v1/predict",
        body,
        connections=connections,
        seconds=seconds,
        token=token,
        pause_ms=pause_ms,
    )
