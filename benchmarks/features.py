"""Online features over HTTP: the platform beside `feast serve` on the same store."""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.feature_project import FEATURES, make
from benchmarks.load import Result, median, wrk
from benchmarks.servers import Platform, free_port, running

CASES = {"1 entity x 3 features": (1, 3), "100 entities x 15 features": (100, 15)}


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Measure at concurrency 16; the bars are five times the answers and a fifth of the p95."""
    seconds, rounds = (2, 2) if quick else (5, 3)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        home = Path(folder) / "home"
        make(home / "feast")
        # a copy, so that neither side waits for the other's locks
        copy = Path(folder) / "feast"
        shutil.copytree(home / "feast", copy)
        port = free_port()
        feast = str(Path(sys.executable).with_name("feast"))
        # by default it restarts its worker every 1,000 requests
        command = [
            feast,
            "-c",
            str(copy),
            "serve",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "--no-access-log",
            "-w",
            "1",
            "--max-requests",
            "0",
        ]
        with Platform(home) as platform, running(command, f"http://127.0.0.1:{port}/health"):
            token = platform.token("ana@company.com", "data-scientist")
            for what, (entities, features) in CASES.items():
                refs = FEATURES[:features]
                ids = [f"customer_{number}" for number in range(entities)]
                ours, theirs = [], []
                for _ in range(rounds):
                    body = json.dumps({"entity_ids": ids, "feature_refs": refs})
                    ours.append(_wrk(f"{platform.url}/api/v1/features/retrieve", body, seconds, token))
                    body = json.dumps({"features": refs, "entities": {"customer_id": ids}})
                    theirs.append(_wrk(f"http://127.0.0.1:{port}/get-online-features", body, seconds))
                rows += _lines(what, median(ours), median(theirs))
    return rows


def _wrk(url: str, body: str, seconds: float, token: str | None = None) -> Result:
    return wrk(url, body, connections=16, seconds=seconds, token=token)


def _lines(what: str, ours: Result, theirs: Result) -> list[dict[str, Any]]:
    errors = "".join(
        f" ({who} {found.errors} errors)" for who, found in (("ours", ours), ("peer", theirs)) if found.errors
    )
    return [
        {
            "what": f"{what} c=16 rps / feast serve{errors}",
            "ours": ours.rps,
            "peer": theirs.rps,
            "ratio": ours.rps / theirs.rps,
            "bar": ">= 5",
        },
        {
            "what": f"{what} c=16 p95 ms / feast serve",
            "ours": ours.p95_ms,
            "peer": theirs.p95_ms,
            "ratio": ours.p95_ms / theirs.p95_ms,
            "bar": "<= 0.2",
        },
    ]
