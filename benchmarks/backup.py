"""Predictions at a fifth of the peak while backups are taken, beside the same load without: the 95th percentile.

A round without backups and one with them, in turn, on one platform. In a round with them one backup follows the other, so that the
whole round lies in backups; what is reported as well are backups that send everything anew (`--full`).
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import Result
from benchmarks.models import LOGISTIC, deploy, predict
from benchmarks.rounds import Line, at_most, in_turn, tails
from benchmarks.servers import Platform

MOST = 1.10
_SHARE = 0.2
_CONNECTIONS = 16


def run(*, quick: bool = False) -> list[Line]:
    """Find the peak, pace the load to a fifth of it, and compare rounds with and without backups."""
    seconds, rounds = (6, 3) if quick else (15, 7)
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "home") as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        deploy(platform, token, LOGISTIC)
        place, key = Path(folder) / "backups", Path(folder) / "passphrase"
        key.write_text("only for this benchmark")
        peak = predict(platform, token, LOGISTIC, connections=_CONNECTIONS, seconds=5)
        # wrk waits so long on each connection before a request
        pause = round(1000 * _CONNECTIONS / (peak.rps * _SHARE))
        platform.mlops("backup", "--to", str(place), "--passphrase-file", str(key))

        def paced() -> Result:
            return predict(
                platform,
                token,
                LOGISTIC,
                connections=_CONNECTIONS,
                seconds=seconds,
                pause_ms=pause,
            )

        taken: dict[str, int] = {}
        found = in_turn(
            {
                "quiet": paced,
                "backups": lambda: _during(platform, ["backup", "--to", str(place)], paced, taken),
                "full": lambda: _during(platform, ["backup", "--to", str(place), "--full"], paced, taken),
            },
            rounds,
        )
    print(
        f"  peak {peak.rps:,.0f}/s; paced to {_median(found['quiet']):,.0f}/s; backups taken: {taken}",
        file=sys.stderr,
    )
    line = tails("p95 while backups run, ms / without", found["backups"], found["quiet"])
    barred = line._replace(bar=at_most(MOST, line.ratio))
    failed = sum(result.errors for result in (*found["backups"], *found["full"]))
    if failed and barred.bar:
        barred = barred._replace(bar=barred.bar._replace(met=False))
    return [
        barred,
        tails(
            "p95 while full backups run, ms / without",
            found["full"],
            found["quiet"],
        ),
    ]


def _during(platform: Platform, command: list[str], measure: Callable[[], Result], taken: dict[str, int]) -> Result:
    """Measure while backups are taken one after the other; the last one may end after the measurement."""
    program = str(Path(sys.executable).with_name("mlops"))
    env = {**os.environ, "MLOPS_HOME": str(platform.home)}
    kind, over, failures = " ".join(command[3:]) or "usual", threading.Event(), list[str]()

    def take() -> None:
        while not over.is_set():
            result = subprocess.run(
                [program, *command],
                check=False,
                capture_output=True,
                text=True,
                env=env,
                timeout=300,
            )
            if result.returncode:
                failures.append(result.stdout + result.stderr)
                return
            taken[kind] = taken.get(kind, 0) + 1

    runner = threading.Thread(target=take)
    runner.start()
    try:
        measured = measure()
    finally:
        over.set()
        runner.join()
    assert not failures, failures[0]
    return measured


def _median(results: list[Result]) -> float:
    ordered = sorted(result.rps for result in results)
    return ordered[len(ordered) // 2]
