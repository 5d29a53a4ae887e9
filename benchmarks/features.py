"""Online features over HTTP: the platform beside `feast serve` on the same store; reported, no bar."""

import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.feature_project import FEATURES, make
from benchmarks.load import Result, wrk
from benchmarks.rounds import Line, in_turn, rates, tails
from benchmarks.servers import Platform, free_port, running

CASES = {"1 entity x 3 features": (1, 3), "100 entities x 15 features": (100, 15)}


def run(*, quick: bool = False) -> list[Line]:
    """Measure at concurrency 16, in turn."""
    seconds, rounds = (1, 5) if quick else (3, 5)
    lines: list[Line] = []
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
        with (
            Platform(home) as platform,
            running(command, f"http://127.0.0.1:{port}/health"),
        ):
            token = platform.token("ana@company.com", "data-scientist")
            for what, (entities, features) in CASES.items():
                refs = FEATURES[:features]
                ids = [f"customer_{number}" for number in range(entities)]
                ours = json.dumps({"entity_ids": ids, "feature_refs": refs})
                theirs = json.dumps({"features": refs, "entities": {"customer_id": ids}})
                found = in_turn(
                    {
                        "ours": partial(
                            _wrk,
                            f"{platform.url}/api/v1/features/retrieve",
                            ours,
                            seconds,
                            token,
                        ),
                        "feast": partial(
                            _wrk,
                            f"http://127.0.0.1:{port}/get-online-features",
                            theirs,
                            seconds,
                        ),
                    },
                    rounds,
                )
                lines.append(
                    rates(
                        f"{what}, requests/s / feast serve",
                        found["ours"],
                        found["feast"],
                    )
                )
                lines.append(tails(f"{what}, p95 ms / feast serve", found["ours"], found["feast"]))
    return lines


def _wrk(url: str, body: str, seconds: float, token: str | None = None) -> Result:
    return wrk(url, body, connections=16, seconds=seconds, token=token)
