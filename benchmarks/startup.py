"""`mlops up` to ready, cold and warm, and what the idle platform holds in memory."""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.servers import Platform


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Start the platform twice in one home; the second start is the warm one."""
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        home = Path(folder) / "home"
        with Platform(home, demo=not quick) as platform:
            cold = platform.seconds_to_ready
        with Platform(home, demo=not quick) as platform:
            warm = platform.seconds_to_ready
            time.sleep(5)
            processes = json.loads(platform.mlops("status", "--json"))["processes"]
    rows = [
        {
            "what": "mlops up to ready, seconds (cold / warm)",
            "ours": warm,
            "peer": cold,
            "ratio": warm / cold,
            "bar": "warm < 20 s",
        }
    ]
    total = sum(process["memory_mb"] or 0 for process in processes)
    return rows + [
        {
            "what": f"idle memory MB: {process['process']}",
            "ours": process["memory_mb"] or 0,
            "peer": total,
            "ratio": (process["memory_mb"] or 0) / total,
            "bar": "",
        }
        for process in processes
    ]
