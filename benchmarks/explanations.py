"""Explanations of one row by one model process, over HTTP; what SHAP itself needs for the same row beside it where it is asked."""

import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import shap
from mlflow.models import infer_signature
from sklearn.datasets import make_regression
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import Ridge

from benchmarks.load import Result, wrk
from benchmarks.models import COLUMNS
from benchmarks.rounds import Line, at_least, at_most, in_turn, single
from benchmarks.servers import free_port, running
from model_server.build.__main__ import build

_CONNECTIONS, _BACKGROUND = 4, 50
# explanations a second
_MODELS: dict[str, tuple[Callable[[], Any], float]] = {
    "linear": (Ridge, 3_000),
    "HistGradientBoosting, 100 trees": (
        lambda: HistGradientBoostingRegressor(max_iter=100, random_state=0),
        1_000,
    ),
    "GradientBoosting, 100 trees": (lambda: GradientBoostingRegressor(n_estimators=100, random_state=0), 1_000),
    "random forest of depth 8": (lambda: RandomForestRegressor(max_depth=8, random_state=0), 300),
}
_DEFAULT_FOREST, _OF_SHAP, _COLD_SECONDS = "default random forest", 0.8, 2.0


def run(*, quick: bool = False) -> list[Line]:
    """Measure every model in a process of its own."""
    seconds, rounds = (1, 3) if quick else (3, 5)
    data, target = make_regression(2_000, len(COLUMNS), n_informative=10, random_state=0)
    frame = pd.DataFrame(data, columns=COLUMNS)
    lines = []
    models = {**_MODELS, _DEFAULT_FOREST: (lambda: RandomForestRegressor(random_state=0), 0.0)}
    for name, (make, least) in models.items():
        model = make().fit(data, target)
        with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
            bundle = _bundle(model, frame, Path(folder))
            ours, beside, cold = _measured(model, frame, bundle, seconds, rounds)
        # SHAP for a linear model is one product; its own figure says nothing about a server
        bar = at_least(least, ours) if least else at_least(_OF_SHAP, ours / beside)
        lines.append(single(f"{name}, explanations/s / shap called", ours, beside, bar))
        cold_bar = at_most(_COLD_SECONDS, cold, " s")
        lines.append(single(f"{name}, first explanation, s / bar", cold, _COLD_SECONDS, cold_bar))
    return lines


def _measured(model: Any, frame: pd.DataFrame, bundle: Path, seconds: float, rounds: int) -> tuple[float, float, float]:
    """Return our explanations a second, SHAP's own, and the seconds to the first."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    row = frame.iloc[100].tolist()
    body = json.dumps({"columns": COLUMNS, "rows": [row]})
    serve = [sys.executable, "-m", "model_server.serve", "--trial", "--bundle", str(bundle), "--port", str(port)]
    with running(serve, f"{url}/health/ready"):
        began = time.monotonic()
        request = urllib.request.Request(f"{url}/explain", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200, answer.status
        cold = time.monotonic() - began
        found = in_turn(
            {
                "ours": lambda: wrk(f"{url}/explain", body, connections=_CONNECTIONS, seconds=seconds),
                "shap": _by_shap(model, frame, row, seconds),
            },
            rounds,
        )
    assert not any(result.errors for result in found["ours"]), "explanations failed"
    return *(float(np.median([result.rps for result in found[who]])) for who in ("ours", "shap")), cold


def _by_shap(model: Any, frame: pd.DataFrame, row: list[float], seconds: float) -> Callable[[], Result]:
    """Return how often this process can ask SHAP for the same row against the same background."""
    background = frame.head(_BACKGROUND).to_numpy()
    if isinstance(model, Ridge):
        explainer = shap.LinearExplainer(model, shap.maskers.Independent(background, _BACKGROUND))
    else:
        explainer = shap.TreeExplainer(model, background, feature_perturbation="interventional")
    asked = np.array([row])
    # what SHAP checks is checked by us too
    more = {} if isinstance(model, Ridge) else {"check_additivity": False}

    def measure() -> Result:
        count, began = 0, time.monotonic()
        while (spent := time.monotonic() - began) < seconds:
            explainer.shap_values(asked, **more)
            count += 1
        return Result(count / spent, 0.0, 0, count)

    return measure


def _bundle(model: Any, frame: pd.DataFrame, folder: Path) -> Path:
    mlflow.sklearn.save_model(
        model,
        str(folder / "artifact"),
        signature=infer_signature(frame, model.predict(frame.to_numpy())),
        input_example=frame.head(_BACKGROUND),
        serialization_format="cloudpickle",
        pip_requirements=[],
    )
    report = build(folder / "artifact", folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return folder / "bundle"
