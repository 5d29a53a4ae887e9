"""Predictions beside the floor: the least an HTTP server with the same ONNX graph can do. The bar of the hot path.

The floor (peers/bare.py) has no token, no permission, no schema check, no metrics and no prediction log. The figure is
what all of that costs, and moves little with the machine, because both sides are the same server, loop and runtime.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import requests

from benchmarks.load import watched, wrk
from benchmarks.models import BOOSTING, LOGISTIC, deploy, predict, row
from benchmarks.rounds import Bar, Line, costs, in_turn, rates, single
from benchmarks.servers import Platform, free_port, running

LEAST = 0.9
CONNECTIONS = 16


def run(*, quick: bool = False) -> list[Line]:
    """Measure both models in paired rounds, then compare the rows answered with the rows logged."""
    seconds, rounds = (1, 5) if quick else (2, 9)
    lines = []
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        api = platform.pid("api")
        for name in (LOGISTIC, BOOSTING):
            full = partial(predict, platform, token, name, connections=CONNECTIONS, seconds=seconds)
            with floor(deploy(platform, token, name)) as (url, pid):
                bare = partial(
                    wrk,
                    url,
                    json.dumps({"input_data": row()}),
                    connections=CONNECTIONS,
                    seconds=seconds,
                )
                found = in_turn(
                    {
                        "ours": partial(watched, api, full),
                        "floor": partial(watched, pid, bare),
                    },
                    rounds,
                )
            lines.append(
                rates(
                    f"{name}, requests/s / floor",
                    found["ours"],
                    found["floor"],
                    least=LEAST,
                )
            )
            lines.append(
                costs(
                    f"{name}, processor us per answer / floor",
                    found["ours"],
                    found["floor"],
                )
            )
        lines.append(_accounted(platform))
    return lines


@contextmanager
def floor(bundle: Path) -> Iterator[tuple[str, int]]:
    """Run the bare application on a bundle's graph; give its URL and process id."""
    graph = json.loads((bundle / "bundle.json").read_text())["onnx"]
    port = free_port()
    env = {
        "FLOOR_MODEL": str(bundle / graph["file"]),
        "FLOOR_DTYPE": graph["dtype"],
        "FLOOR_INPUT": graph["input"],
        "FLOOR_OUTPUT": graph["probabilities"],
    }
    options = {
        "port": port,
        "loop": "uvloop",
        "http": "httptools",
        "log-level": "error",
        "lifespan": "off",
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.peers.bare:app",
        "--no-access-log",
    ]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    url = f"http://127.0.0.1:{port}/"
    with running(command, url, env=env) as process:
        yield url, process.pid


def _accounted(platform: Platform) -> Line:
    """Compare rows answered (metrics) with rows kept (segments and table)."""
    from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog

    time.sleep(1)
    scraper = {"Authorization": f"Bearer {(platform.home / 'keys' / 'scrape.token').read_text()}"}
    text = requests.get(f"{platform.url}/metrics", headers=scraper, timeout=10).text
    answered = sum(
        float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("prediction_rows_total{")
    )
    account = DeltaPredictionLog(platform.home / "predictions").account()
    kept = account.stored + account.pending
    return single(
        "prediction log, rows kept / rows answered",
        kept,
        answered,
        Bar("= 1", kept == answered),
    )
