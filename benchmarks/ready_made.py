"""Predictions beside ready-made servers: reported, no bar. What they do differs too much for a promise about a ratio."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import sklearn

from benchmarks.load import Result, wrk
from benchmarks.models import BOOSTING, COLUMNS, LOGISTIC, deploy, predict, row, train
from benchmarks.rounds import Line, in_turn, rates, tails
from benchmarks.servers import Platform, free_port, kserve_environment, running

_CONNECTIONS = 16
_MLFLOW, _KSERVE = "mlflow models serve", "the KServe SDK"


def run(*, quick: bool = False) -> list[Line]:
    """Measure both models: the platform, `mlflow models serve` and the KServe SDK in turn."""
    seconds, rounds = (1, 5) if quick else (3, 5)
    lines = []
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        for name in (LOGISTIC, BOOSTING):
            bundle = deploy(platform, token, name)
            with (
                mlflow_serves(bundle, seconds) as mlflow,
                _kserve(name, bundle, seconds) as kserve,
            ):
                contenders: dict[str, Callable[[], Result]] = {
                    "ours": lambda name=name: predict(platform, token, name, connections=_CONNECTIONS, seconds=seconds),
                    _MLFLOW: mlflow,
                }
                found = in_turn(
                    contenders if kserve is None else {**contenders, _KSERVE: kserve},
                    rounds,
                )
            ours = found.pop("ours")
            for peer, results in found.items():
                lines.append(rates(f"{name}, requests/s / {peer}", ours, results))
                lines.append(tails(f"{name}, p95 ms / {peer}", ours, results))
    return lines


@contextmanager
def mlflow_serves(bundle: Path, seconds: float) -> Iterator[Callable[[], Result]]:
    """Serve the model of a bundle with `mlflow models serve`; give how to measure it."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(bundle / "native"),
    ]
    command += ["--env-manager", "local", "-p", str(port)]
    body = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [list(row().values())]}})
    with running(command, f"http://127.0.0.1:{port}/ping", seconds=120):
        yield lambda: wrk(
            f"http://127.0.0.1:{port}/invocations",
            body,
            connections=_CONNECTIONS,
            seconds=seconds,
        )


@contextmanager
def _kserve(name: str, bundle: Path, seconds: float) -> Iterator[Callable[[], Result] | None]:
    """Run the SDK with the same fitted model; give nothing when it cannot be installed."""
    interpreter = kserve_environment(sklearn.__version__)
    if interpreter is None:
        yield None
        return
    model = bundle.parent / f"{name}.joblib"
    joblib.dump(train(name)[0], model)
    port = free_port()
    command = [
        str(interpreter),
        str(Path(__file__).parent / "peers" / "kserve_server.py"),
        str(model),
        str(port),
    ]
    body = json.dumps({"instances": [list(row().values())]})
    url = f"http://127.0.0.1:{port}/v1/models/peer:predict"
    with running(command, f"http://127.0.0.1:{port}/v2/health/live"):
        yield lambda: wrk(url, body, connections=_CONNECTIONS, seconds=seconds)
