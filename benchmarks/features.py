"""Online features over HTTP: the platform beside `feast serve` on the same store."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.load import median, wrk
from benchmarks.servers import Platform, free_port, running

_VIEW = "customer_features"
_FEATURES = (
    "total_purchases",
    "days_since_last_purchase",
    "average_order_value",
    "purchases_last_30d",
    "spend_last_90d",
)
CASES = {"1 entity x 3 features": (1, 3), "100 entities x 5 features": (100, 5)}


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Measure at concurrency 16; the bars are five times the answers and a fifth of the p95."""
    seconds, rounds = (2, 2) if quick else (5, 3)
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home", demo=True) as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        repo = Path(folder) / "feast"
        shutil.copytree(platform.home / "feast", repo)
        port = free_port()
        feast = str(Path(sys.executable).with_name("feast"))
        command = [
            feast,
            "-c",
            str(repo),
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-access-log",
            "--workers",
            "1",
        ]
        if (
            "--max-requests"
            in subprocess.run([feast, "serve", "--help"], check=True, capture_output=True, text=True).stdout
        ):
            command += ["--max-requests", "0"]
        with running(command, f"http://127.0.0.1:{port}/health"):
            for what, (entities, features) in CASES.items():
                refs = [f"{_VIEW}:{name}" for name in _FEATURES[:features]]
                ids = [f"customer_{number}" for number in range(entities)]
                ours_body = json.dumps({"entity_ids": ids, "feature_refs": refs})
                peer_body = json.dumps({"features": refs, "entities": {"customer_id": ids}})
                ours, peer = [], []
                for _ in range(rounds):
                    ours.append(
                        wrk(
                            f"{platform.url}/api/v1/features/retrieve",
                            ours_body,
                            connections=16,
                            seconds=seconds,
                            token=token,
                        )
                    )
                    peer.append(
                        wrk(f"http://127.0.0.1:{port}/get-online-features", peer_body, connections=16, seconds=seconds)
                    )
                mine, theirs = median(ours), median(peer)
                rows.append(
                    {
                        "what": f"{what} c=16 rps / feast serve",
                        "ours": mine.rps,
                        "peer": theirs.rps,
                        "ratio": mine.rps / theirs.rps,
                        "bar": ">= 5",
                    }
                )
                rows.append(
                    {
                        "what": f"{what} c=16 p95 ms / feast serve",
                        "ours": mine.p95_ms,
                        "peer": theirs.p95_ms,
                        "ratio": mine.p95_ms / theirs.p95_ms,
                        "bar": "<= 0.2",
                    }
                )
    return rows
