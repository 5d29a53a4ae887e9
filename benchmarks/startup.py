"""`mlops up` to ready, cold and warm, and what the idle platform holds in memory."""

import json
import tempfile
import time
from pathlib import Path

from benchmarks.rounds import Line, at_most, single
from benchmarks.servers import Platform


def run(*, quick: bool = False) -> list[Line]:
    """Start the platform twice in one home; the second start is the warm one."""
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        home = Path(folder) / "home"
        with Platform(home, demo=not quick) as platform:
            cold = platform.seconds_to_ready
        with Platform(home, demo=not quick) as platform:
            warm = platform.seconds_to_ready
            time.sleep(5)
            processes = json.loads(platform.mlops("status", "--json"))["processes"]
    total = sum(process["memory_mb"] or 0 for process in processes)
    return [
        single(
            "`mlops up` to ready, seconds, warm / cold",
            warm,
            cold,
            at_most(20, warm, " s"),
        ),
        *(
            single(
                f"idle memory MB, {process['process']} / all",
                process["memory_mb"] or 0,
                total,
            )
            for process in processes
        ),
    ]
