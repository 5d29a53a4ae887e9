"""The standard doors beside /api/v1/predict: the same model and rows, in the same rounds.

One tensor [rows, 20] in JSON and in binary, for 1 and 100 rows; a tensor per input is reported.
"""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import Result, wrk
from benchmarks.models import COLUMNS, LOGISTIC, deploy
from benchmarks.rounds import Line, in_turn, rates
from benchmarks.servers import Platform

CONNECTIONS = 16
LEAST_JSON, LEAST_BINARY = 0.7, 0.9
_JSON_LENGTH = "Inference-Header-Content-Length"


def run(*, quick: bool = False) -> list[Line]:
    """Measure every door for one row and for a hundred."""
    seconds, rounds = (1, 5) if quick else (2, 7)
    lines = []
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        deploy(platform, token, LOGISTIC)
        ask = partial(wrk, connections=CONNECTIONS, seconds=seconds, token=token)
        for count in (1, 100):
            found = in_turn(_contenders(platform.url, ask, count), rounds)
            ours = found.pop("predict")
            lines += [
                rates(
                    f"{door}, {count} rows, requests/s / predict",
                    results,
                    ours,
                    least=_LEAST[door],
                )
                for door, results in found.items()
            ]
    return lines


_LEAST: dict[str, float | None] = {
    "OIP JSON": LEAST_JSON,
    "OIP binary": LEAST_BINARY,
    "OIP by input": None,
    "v1": None,
}


def _contenders(url: str, ask: Callable[..., Result], count: int) -> dict[str, Callable[[], Result]]:
    values = np.random.default_rng(1).normal(size=(count, len(COLUMNS))).round(6)
    objects = [dict(zip(COLUMNS, row, strict=True)) for row in values.tolist()]
    tensor = {"name": "x", "datatype": "FP64", "shape": [count, len(COLUMNS)]}
    infer = f"{url}/v2/models/{LOGISTIC}/infer"
    binary, headers = _in_binary(tensor, values)
    by_input = [
        {
            "name": name,
            "datatype": "FP64",
            "shape": [count],
            "data": values[:, place].tolist(),
        }
        for place, name in enumerate(COLUMNS)
    ]
    return {
        "predict": partial(
            ask,
            f"{url}/api/v1/predict",
            json.dumps({"model_name": LOGISTIC, "input_data": objects}),
        ),
        "OIP JSON": partial(
            ask,
            infer,
            json.dumps({"inputs": [{**tensor, "data": values.reshape(-1).tolist()}]}),
        ),
        "OIP binary": partial(ask, infer, binary, headers=headers),
        "OIP by input": partial(ask, infer, json.dumps({"inputs": by_input})),
        "v1": partial(
            ask,
            f"{url}/v1/models/{LOGISTIC}:predict",
            json.dumps({"instances": values.tolist()}),
        ),
    }


def _in_binary(tensor: dict[str, Any], values: Any) -> tuple[bytes, dict[str, str]]:
    """Return a body as Triton's client sends it by default: the input in binary, and every output asked for in binary."""
    content = values.tobytes()
    described = {**tensor, "parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    return head + content, {
        "Content-Type": "application/octet-stream",
        _JSON_LENGTH: str(len(head)),
    }
