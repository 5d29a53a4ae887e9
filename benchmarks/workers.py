"""Two API processes beside one: what a second core adds."""

import tempfile
from pathlib import Path

from benchmarks.models import LOGISTIC, deploy, predict
from benchmarks.rounds import Line, in_turn, rates
from benchmarks.servers import Platform

_LEAST = 1.4
_CONNECTIONS = 64


def run(*, quick: bool = False) -> list[Line]:
    """Measure two platforms in turn that differ in nothing else."""
    seconds, rounds = (1, 5) if quick else (3, 5)
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder,
        Platform(Path(folder) / "one") as one,
        Platform(Path(folder) / "two", workers=2) as two,
    ):
        contenders = {}
        for name, platform in (("two", two), ("one", one)):
            token = platform.token("ana@company.com", "data-scientist")
            deploy(platform, token, LOGISTIC)
            contenders[name] = lambda platform=platform, token=token: predict(
                platform, token, LOGISTIC, connections=_CONNECTIONS, seconds=seconds
            )
        found = in_turn(contenders, rounds)
    return [rates("two workers, requests/s / one", found["two"], found["one"], least=_LEAST)]
