"""MLflow through its door beside MLflow itself: a model, a version; and predictions while a gigabyte is uploaded."""

import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from benchmarks import models
from benchmarks.load import Result
from benchmarks.rounds import Line, at_most, in_turn, single
from benchmarks.servers import Platform

_NAME = "door-bench"
_API = "/api/2.0/mlflow"
_PATHS = {
    "registered-models/get": f"{_API}/registered-models/get?name={_NAME}",
    "model-versions/get": f"{_API}/model-versions/get?name={_NAME}&version=1",
}
# asked for by the issue that this answers: what a person does not notice
_MEDIAN_MS, _P95_RATIO, _PREDICT_RATIO = 1.5, 1.3, 1.2
_UPLOAD = """
import sys, requests
url, token, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
block = b"x" * 1_000_000
while True:
    requests.put(url, data=(block for _ in range(megabytes)), headers={"Authorization": f"Bearer {token}"}).raise_for_status()
"""


def run(*, quick: bool = False) -> list[Line]:
    """Measure one connection's requests, request by request, the two addresses in turn."""
    asks, rounds = (100, 3) if quick else (400, 9)
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        place = _fill(platform, token)
        inner, secret = platform.inner_mlflow
        lines = []
        for what, path in _PATHS.items():
            medians: dict[str, list[float]] = {"door": [], "inner": []}
            measured = in_turn(
                {
                    "door": _asking(platform.mlflow_url, path, token, asks, medians["door"]),
                    "inner": _asking(inner, path, secret, asks, medians["inner"]),
                },
                rounds,
            )
            # the first round warmed both up
            added = [door - behind for door, behind in zip(medians["door"][1:], medians["inner"][1:], strict=True)]
            ours, beside = (
                statistics.median(medians["door"][1:]),
                statistics.median(medians["inner"][1:]),
            )
            bar = at_most(_MEDIAN_MS, statistics.median(added), " ms more")
            lines.append(single(f"{what}: median ms through the door / behind it", ours, beside, bar))
            tails = [
                door.p95_ms / behind.p95_ms for door, behind in zip(measured["door"], measured["inner"], strict=True)
            ]
            line = single(
                f"{what}: p95 ms through the door / behind it",
                statistics.median(result.p95_ms for result in measured["door"]),
                statistics.median(result.p95_ms for result in measured["inner"]),
            )
            ratio = statistics.median(tails)
            lines.append(
                line._replace(
                    ratio=ratio,
                    lowest=min(tails),
                    highest=max(tails),
                    bar=at_most(_P95_RATIO, ratio),
                )
            )
        lines.append(_while_uploading(platform, token, place, quick=quick))
        return lines


def _while_uploading(platform: Platform, token: str, place: str, *, quick: bool) -> Line:
    """Measure predictions with and without an upload, in turn."""
    models.deploy(platform, token, models.LOGISTIC)
    target = f"{platform.mlflow_url}/api/2.0/mlflow-artifacts/artifacts/{place}/large"

    def quiet() -> Result:
        return models.predict(platform, token, models.LOGISTIC, connections=1, seconds=2)

    def busy() -> Result:
        command = [
            sys.executable,
            "-c",
            _UPLOAD,
            target,
            token,
            "100" if quick else "1000",
        ]
        with subprocess.Popen(command) as upload:
            try:
                return quiet()
            finally:
                upload.kill()

    found = in_turn({"busy": busy, "quiet": quiet}, 3 if quick else 7)
    ratios = [one.p95_ms / other.p95_ms for one, other in zip(found["busy"], found["quiet"], strict=True)]
    line = single(
        "predict: p95 ms during an upload / without one",
        statistics.median(result.p95_ms for result in found["busy"]),
        statistics.median(result.p95_ms for result in found["quiet"]),
    )
    ratio = statistics.median(ratios)
    return line._replace(
        ratio=ratio,
        lowest=min(ratios),
        highest=max(ratios),
        bar=at_most(_PREDICT_RATIO, ratio),
    )


def _asking(url: str, path: str, token: str, asks: int, medians: list[float]) -> Callable[[], Result]:
    """Return a round: so many requests over one connection, each timed; its median is appended to `medians`."""
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}"}

    def measure() -> Result:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        times: list[float] = []
        errors = 0
        began = time.perf_counter()
        for _ in range(asks):
            sent = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            times.append((time.perf_counter() - sent) * 1000)
            errors += answer.status != http.client.OK
        elapsed = time.perf_counter() - began
        connection.close()
        medians.append(statistics.median(times))
        return Result(asks / elapsed, statistics.quantiles(times, n=20)[18], errors, asks)

    return measure


def _fill(platform: Platform, token: str) -> str:
    """Register one version; return the place of its run's artifacts in the store."""
    headers = {"Authorization": f"Bearer {token}"}

    def post(path: str, body: dict[str, object]) -> dict[str, dict[str, dict[str, str]]]:
        answer = requests.post(
            f"{platform.mlflow_url}{_API}/{path}",
            json=body,
            headers=headers,
            timeout=60,
        )
        answer.raise_for_status()
        return dict(answer.json())

    info = post("runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]
    post("registered-models/create", {"name": _NAME})
    source = f"{info['artifact_uri']}/model"
    post(
        "model-versions/create",
        {"name": _NAME, "source": source, "run_id": info["run_id"]},
    )
    return info["artifact_uri"].removeprefix("mlflow-artifacts:/")
