"""A model that does not compile: Python of its own (mlflow.pyfunc), one row a request, beside the servers that are made for it."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

from benchmarks.load import Result, wrk
from benchmarks.models import COLUMNS, deploy, predict, row
from benchmarks.ready_made import mlflow_serves
from benchmarks.rounds import Line, in_turn, rates, tails
from benchmarks.servers import Platform, free_port, mlserver_environment, running

NAME = "bench-pyfunc"
_CONNECTIONS = 16
_MLFLOW, _MLSERVER = "mlflow models serve", "MLServer"
_BARS = {_MLFLOW: 5, _MLSERVER: 2}


def run(*, quick: bool = False) -> list[Line]:
    """Measure the platform, `mlflow models serve` and MLServer in turn."""
    seconds, rounds = (1, 3) if quick else (3, 5)
    lines = []
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        bundle = deploy(platform, token, NAME, log)
        with (
            mlflow_serves(bundle, seconds) as mlflow_round,
            _mlserver(bundle, Path(folder), seconds) as mlserver_round,
        ):
            contenders: dict[str, Callable[[], Result]] = {
                "ours": lambda: predict(platform, token, NAME, connections=_CONNECTIONS, seconds=seconds),
                _MLFLOW: mlflow_round,
            }
            if mlserver_round is not None:
                contenders[_MLSERVER] = mlserver_round
            found = in_turn(contenders, rounds)
    ours = found.pop("ours")
    for peer, results in found.items():
        lines.append(rates(f"{NAME}, requests/s / {peer}", ours, results, least=_BARS[peer]))
        lines.append(tails(f"{NAME}, p95 ms / {peer}", ours, results))
    return lines


def log() -> Any:
    """Log a score card with a rule: numpy and pandas only, so that every server's environment loads it."""
    frame = pd.DataFrame(np.random.default_rng(2).normal(size=(200, len(COLUMNS))), columns=COLUMNS)
    answers = pd.DataFrame({"score": np.zeros(len(frame))})
    return mlflow.pyfunc.log_model(
        name="model",
        python_model=_score_card(),
        signature=infer_signature(frame, answers),
        input_example=frame.head(50),
        pip_requirements=[],
    )


def _score_card() -> Any:
    # inside a function, so that its class is logged with it
    class ScoreCard(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # MLflow's base is untyped here
        weights = np.linspace(-1.0, 1.0, len(COLUMNS))

        # without hints: MLflow would take them for a schema
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG002
            points = model_input.to_numpy() @ self.weights
            score = 1.0 / (1.0 + np.exp(-points))
            # a frame, which MLServer's runtime can write down too
            return pd.DataFrame({"score": np.where(model_input["x0"] < 3.0, score, 0.0)})

    return ScoreCard()


@contextmanager
def _mlserver(bundle: Path, folder: Path, seconds: float) -> Iterator[Callable[[], Result] | None]:
    """Run MLServer with its MLflow runtime as its guide shows; give nothing when it cannot be installed."""
    interpreter = mlserver_environment()
    if interpreter is None:
        yield None
        return
    port, grpc, metrics = free_port(), free_port(), free_port()
    served = folder / "mlserver"
    served.mkdir()
    # its own defaults but for the ports: one pool of one process answers
    settings = {"http_port": port, "grpc_port": grpc, "metrics_port": metrics, "debug": False}
    (served / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "peer",
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(bundle / "native")},
    }
    (served / "model-settings.json").write_text(json.dumps(model))
    tensors = [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value], "parameters": {"content_type": "np"}}
        for name, value in row().items()
    ]
    body = json.dumps({"parameters": {"content_type": "pd"}, "inputs": tensors})
    url = f"http://127.0.0.1:{port}/v2/models/peer"
    command = [str(interpreter.with_name("mlserver")), "start", str(served)]
    with running(command, f"{url}/ready", seconds=120, well=True):
        yield lambda: wrk(f"{url}/infer", body, connections=_CONNECTIONS, seconds=seconds)
