"""Single-row predictions: the full governed path beside the floor and ready-made servers, same model, same run."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import requests
import sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.load import Result, median, wrk
from benchmarks.servers import Platform, free_port, kserve_environment, running

COLUMNS = [f"x{index}" for index in range(20)]
MODELS = {
    "bench-logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "bench-boosting": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
}
CONCURRENCY = (1, 16, 64)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Measure both models; return rows of {what, ours, peer, ratio, bar}."""
    seconds, rounds = (2, 2) if quick else (5, 3)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        with Platform(Path(folder) / "one") as platform:
            tokens = _tokens(platform)
            for name in MODELS:
                rows += _compare(platform, tokens, name, seconds, rounds)
            one = _ours(platform, tokens["ana"], "bench-logistic", 64, seconds)
            rows.append(_accounted(platform))
        with Platform(Path(folder) / "one", workers=2) as platform:
            # another port is another issuer: tokens of the first start do not count here
            token = platform.token("ana@company.com", "data-scientist")
            _wait_live(platform, token, "bench-logistic")
            two = _ours(platform, token, "bench-logistic", 64, seconds)
        rows.append(
            {
                "what": "two workers / one, c=64, rps",
                "ours": two.rps,
                "peer": one.rps,
                "ratio": two.rps / one.rps,
                "bar": ">= 1.4",
            }
        )
    return rows


def _tokens(platform: Platform) -> dict[str, str]:
    return {"ana": platform.token("ana@company.com", "data-scientist")}


def _row() -> dict[str, float]:
    return {
        name: round(float(value), 6)
        for name, value in zip(COLUMNS, np.random.default_rng(1).normal(size=20), strict=True)
    }


def _train(name: str) -> tuple[Any, pd.DataFrame]:
    data, target = make_classification(2_000, 20, n_informative=10, random_state=0)
    frame = pd.DataFrame(data, columns=COLUMNS)
    return MODELS[name]().fit(frame, target), frame


def _deploy(platform: Platform, token: str, name: str) -> Path:
    """Register and deploy the model as anybody would; return its bundle."""
    mlflow.set_tracking_uri(platform.mlflow_url)
    model, frame = _train(name)
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            model, name="model", input_example=frame.head(50), serialization_format="cloudpickle"
        )
    mlflow.register_model(logged.model_uri, name, tags={"risk_level": "low"})
    body = {"model_name": name, "model_version": "1", "target_stage": "staging", "justification": "benchmark"}
    requests.post(
        f"{platform.url}/api/v1/models/deploy", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=60
    ).raise_for_status()
    _wait_live(platform, token, name)
    return next((platform.home / "bundles").glob(f"*-{name}-1"))


def _wait_live(platform: Platform, token: str, name: str) -> None:
    deadline = time.monotonic() + 120
    body = {"model_name": name, "input_data": _row()}
    while time.monotonic() < deadline:
        if requests.post(
            f"{platform.url}/api/v1/predict", json=body, headers={"Authorization": f"Bearer {token}"}, timeout=10
        ).ok:
            return
        time.sleep(0.3)
    raise SystemExit(f"{name} did not go live")


def _ours(platform: Platform, token: str, name: str, connections: int, seconds: float) -> Result:
    body = json.dumps({"model_name": name, "input_data": _row()})
    return wrk(f"{platform.url}/api/v1/predict", body, connections=connections, seconds=seconds, token=token)


def _compare(
    platform: Platform, tokens: dict[str, str], name: str, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    bundle = _deploy(platform, tokens["ana"], name)
    graph = json.loads((bundle / "bundle.json").read_text())["onnx"]
    floor_port, mlflow_port = free_port(), free_port()
    floor_env = {
        "FLOOR_MODEL": str(bundle / graph["file"]),
        "FLOOR_DTYPE": graph["dtype"],
        "FLOOR_INPUT": graph["input"],
        "FLOOR_OUTPUT": graph["probabilities"],
    }
    floor = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.floor:app",
        "--port",
        str(floor_port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--log-level",
        "error",
        "--lifespan",
        "off",
    ]
    stock = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(bundle / "native"),
        "--env-manager",
        "local",
        "-p",
        str(mlflow_port),
    ]
    row = json.dumps({"input_data": _row()})
    invocation = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": [list(_row().values())]}})
    found: dict[tuple[str, int], Result] = {}
    with running(floor, f"http://127.0.0.1:{floor_port}/", env=floor_env):
        for connections in CONCURRENCY:
            ours, bare = [], []
            # in turn, so that both meet the same weather
            for _ in range(rounds):
                ours.append(_ours(platform, tokens["ana"], name, connections, seconds))
                bare.append(wrk(f"http://127.0.0.1:{floor_port}/", row, connections=connections, seconds=seconds))
            found["ours", connections], found["floor", connections] = median(ours), median(bare)
    with running(stock, f"http://127.0.0.1:{mlflow_port}/ping", seconds=120):
        for connections in CONCURRENCY:
            url = f"http://127.0.0.1:{mlflow_port}/invocations"
            found["mlflow", connections] = median(
                [wrk(url, invocation, connections=connections, seconds=seconds) for _ in range(rounds)]
            )
    lines = [line for connections in CONCURRENCY for line in _lines(name, connections, found)]
    return lines + _kserve(name, bundle, found["ours", 16], seconds, rounds)


def _kserve(name: str, bundle: Path, ours: Result, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Measure the KServe SDK with the same fitted model."""
    interpreter = kserve_environment(sklearn.__version__)
    if interpreter is None:
        return []
    model = bundle.parent / f"{name}.joblib"
    joblib.dump(_train(name)[0], model)
    port = free_port()
    command = [str(interpreter), str(Path(__file__).parent / "peers" / "kserve_server.py"), str(model), str(port)]
    body = json.dumps({"instances": [list(_row().values())]})
    with running(command, f"http://127.0.0.1:{port}/v2/health/live"):
        url = f"http://127.0.0.1:{port}/v1/models/peer:predict"
        peer = median([wrk(url, body, connections=16, seconds=seconds) for _ in range(rounds)])
    what = f"{name} c=16 rps / KServe SDK"
    return [{"what": what, "ours": ours.rps, "peer": peer.rps, "ratio": ours.rps / peer.rps, "bar": ">= 10"}]


def _lines(name: str, connections: int, found: dict[tuple[str, int], Result]) -> list[dict[str, Any]]:
    ours, floor, stock = (found[who, connections] for who in ("ours", "floor", "mlflow"))
    bars = {"floor": ">= 0.65", "mlflow": ">= 80", "p95": "<= 0.02"} if connections == 16 else {}
    errors = f" ({ours.errors} errors)" if ours.errors else ""
    return [
        {
            "what": f"{name} c={connections} rps / floor{errors}",
            "ours": ours.rps,
            "peer": floor.rps,
            "ratio": ours.rps / floor.rps,
            "bar": bars.get("floor", ""),
        },
        {
            "what": f"{name} c={connections} rps / mlflow models serve",
            "ours": ours.rps,
            "peer": stock.rps,
            "ratio": ours.rps / stock.rps,
            "bar": bars.get("mlflow", ""),
        },
        {
            "what": f"{name} c={connections} p95 ms / mlflow models serve",
            "ours": ours.p95_ms,
            "peer": stock.p95_ms,
            "ratio": ours.p95_ms / stock.p95_ms,
            "bar": bars.get("p95", ""),
        },
    ]


def _accounted(platform: Platform) -> dict[str, Any]:
    """Compare rows answered (metrics) with rows kept (segments and table)."""
    from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog

    time.sleep(1)
    text = requests.get(f"{platform.url}/metrics", timeout=10).text
    answered = sum(
        float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("prediction_rows_total{")
    )
    account = DeltaPredictionLog(platform.home / "predictions").account()
    kept = account.stored + account.pending
    return {
        "what": "prediction log: rows kept / rows answered",
        "ours": kept,
        "peer": answered,
        "ratio": kept / answered,
        "bar": "= 1",
    }
