"""Each part of the platform killed and stopped under load: which requests failed, for how long, and when it was replaced.

Clients ask without a pause: three for predictions of a compiled model, one for explanations (which need the model's own process),
one for the catalogue (which needs PostgreSQL). Nobody tries again: a request that was cut off has failed. A full disk needs root on
Linux, since it mounts a small one.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from pathlib import Path
from typing import Self

import psutil

from benchmarks.models import LOGISTIC, deploy, row
from benchmarks.rounds import Line, at_most, single
from benchmarks.servers import Platform

PARTS = (
    "api process",
    "api",
    "worker",
    "model",
    "mlflow",
    "mlflow-door",
    "postgres",
    "prometheus",
    "supervisor",
)
# outages of predictions that the platform promises not to have
_SHORT_SECONDS = 1.0
_STOPPED_SECONDS = 30.0
_DISK = "1500m"
_HOW = {"predictions": 3, "explanations": 1, "catalogue": 1}


@dataclass(frozen=True)
class Asked:
    """One request: when it began, how long it took, whether it was answered with success."""

    began: float
    seconds: float
    ok: bool


@dataclass(frozen=True)
class Outcome:
    """What one fault did: (failed, asked, longest seconds in which nobody was answered) for each kind of client."""

    part: str
    fault: str
    clients: dict[str, tuple[int, int, float]]
    replaced: float | None


class Clients:
    """Threads that ask while the block runs."""

    def __init__(self, platform: Platform, token: str) -> None:
        self._address = ("127.0.0.1", platform.port)
        question = {"model_name": LOGISTIC, "input_data": row()}
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        self._requests = {
            "predictions": ("POST", "/api/v1/predict", json.dumps(question), headers),
            "explanations": (
                "POST",
                "/api/v1/predict",
                json.dumps({**question, "return_explanations": True}),
                headers,
            ),
            "catalogue": ("GET", "/api/v1/models", None, headers),
        }
        self.asked: dict[str, list[Asked]] = {kind: [] for kind in _HOW}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(kind,)) for kind, count in _HOW.items() for _ in range(count)
        ]

    def _go_on(self, kind: str) -> None:
        connection = HTTPConnection(*self._address, timeout=90)
        while not self._stop.wait(0.01):
            began = time.monotonic()
            try:
                connection.request(*self._requests[kind])
                answer = connection.getresponse()
                answer.read()
                ok = answer.status == 200
            except (OSError, HTTPException):
                connection.close()
                ok = False
            self.asked[kind].append(Asked(began, time.monotonic() - began, ok))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def since(self, fault: float) -> dict[str, tuple[int, int, float]]:
        """Return, for each kind, what failed of what was asked after the fault, and the longest time without an answer."""
        found = {}
        for kind, asked in self.asked.items():
            after = [one for one in asked if one.began + one.seconds > fault]
            answers = [
                fault,
                *sorted(one.began + one.seconds for one in after if one.ok),
            ]
            longest = max(
                (later - earlier for earlier, later in pairwise(answers)),
                default=time.monotonic() - fault,
            )
            found[kind] = (sum(not one.ok for one in after), len(after), longest)
        return found


def run(*, quick: bool = False) -> list[Line]:
    """Do every fault to one platform after the other; print the table, return the bars."""
    parts = PARTS[:2] if quick else PARTS
    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="mlops-faults-") as folder,
        _small_disk(Path(folder) / "disk") as disk,
        Platform(disk / "home", workers=2) as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        deploy(platform, token, LOGISTIC)
        _until_explained(platform, token)
        print(f"\n  memory of the idle platform: {_memory(platform)}", flush=True)
        for fault in _faults(parts, everything=not quick):
            outcomes.append(fault(platform, token))
            _show(outcomes[-1])
        if os.path.ismount(disk):
            outcomes.append(_full(platform, token, disk))
            _show(outcomes[-1])
    return [
        single(
            f"seconds without predictions: {outcome.part}, {outcome.fault} / 1",
            outcome.clients["predictions"][2],
            _SHORT_SECONDS,
            at_most(_SHORT_SECONDS, outcome.clients["predictions"][2], " s") if outcome.fault == "kill -9" else None,
        )
        for outcome in outcomes
    ]


def _faults(parts: tuple[str, ...], *, everything: bool) -> Iterator[Callable[[Platform, str], Outcome]]:
    for part in parts:
        yield partial(_killed, part=part)
    for part in parts if everything else ():
        # nobody asks the supervisor anything
        if part != "supervisor":
            yield partial(_stopped, part=part)
        # a model's process has limits of its own, which nobody else may change
        if part not in {"supervisor", "model"}:
            yield partial(_without_descriptors, part=part)


def _show(outcome: Outcome) -> None:
    cells = [f"{failed} of {asked}, {gap:.1f} s" for failed, asked, gap in outcome.clients.values()]
    replaced = "" if outcome.replaced is None else f"{outcome.replaced:.1f} s"
    print(
        f"| {outcome.part} | {outcome.fault} | {' | '.join(cells)} | {replaced} |",
        flush=True,
    )


def _killed(platform: Platform, token: str, part: str) -> Outcome:
    with Clients(platform, token) as clients:
        time.sleep(2)
        pid, fault = _pid(platform, part), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        if part == "supervisor":
            platform.up()
        replaced = _replaced(platform, part, pid, fault)
        time.sleep(3)
    return Outcome(part, "kill -9", clients.since(fault), replaced)


def _stopped(platform: Platform, token: str, part: str) -> Outcome:
    with Clients(platform, token) as clients:
        time.sleep(2)
        pid, fault = _pid(platform, part), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        replaced = _replaced(platform, part, pid, fault, seconds=_STOPPED_SECONDS)
        time.sleep(max(0.0, fault + _STOPPED_SECONDS - time.monotonic()))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        time.sleep(5)
    return Outcome(part, "SIGSTOP 30 s", clients.since(fault), replaced)


def _without_descriptors(platform: Platform, token: str, part: str) -> Outcome:
    """Forbid the process, for ten seconds, to open anything more than it has open now."""
    with Clients(platform, token) as clients:
        time.sleep(2)
        process, fault = psutil.Process(_pid(platform, part)), time.monotonic()
        before = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), before[1]))
        time.sleep(10)
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_NOFILE, before)
        time.sleep(5)
        replaced = None if psutil.pid_exists(process.pid) else time.monotonic() - fault
    return Outcome(part, "no descriptors 10 s", clients.since(fault), replaced)


def _full(platform: Platform, token: str, disk: Path) -> Outcome:
    filling = disk / "filling"
    with Clients(platform, token) as clients:
        time.sleep(2)
        fault = time.monotonic()
        with filling.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(b"\0" * 65_536):
                pass
        time.sleep(20)
        filling.unlink()
        freed = time.monotonic()
        _until_explained(platform, token)
        time.sleep(5)
    late = clients.since(freed + 5)
    print(
        f"  failed five seconds after there was room again: {sum(failed for failed, _, _ in late.values())}",
        flush=True,
    )
    return Outcome("all", "full disk 20 s", clients.since(fault), None)


def _pid(platform: Platform, part: str) -> int:
    state = json.loads((platform.home / "run" / "state.json").read_text())
    if part == "api process":
        return psutil.Process(state["children"]["api"]["pid"]).children()[0].pid
    if part == "model":
        (status,) = (platform.home / "runtime" / "status").glob("*.json")
        return int(json.loads(status.read_text())["pid"])
    return int(state["supervisor_pid"] if part == "supervisor" else state["children"][part]["pid"])


def _replaced(platform: Platform, part: str, pid: int, since: float, seconds: float = 90) -> float | None:
    """Return after how long another process is in its place and ready, None when there is none in time."""
    states = platform.home / "run" / "state.json"

    def another() -> bool:
        # a type error: it has no process at this moment
        with suppress(ValueError, TypeError, KeyError, IndexError, OSError, psutil.Error, StopIteration):
            now = _pid(platform, part)
            if part in {"api process", "model", "supervisor"}:
                return now != pid
            child = json.loads(states.read_text())["children"][part]
            return now != pid and child["state"] == "ready"
        return False

    while time.monotonic() - since < seconds:
        if another():
            return time.monotonic() - since
        time.sleep(0.1)
    return None


def _until_explained(platform: Platform, token: str) -> None:
    with Clients(platform, token) as clients:
        deadline = time.monotonic() + 120
        while not any(asked.ok for asked in clients.asked["explanations"]):
            assert time.monotonic() < deadline, "the model's process does not answer"
            time.sleep(0.2)


def _memory(platform: Platform) -> str:
    """Return the proportional share of memory (PSS) of every part, in MB; of its children too."""
    shares = {}
    for part in PARTS:
        if part in {"api process", "model"}:
            continue
        process = psutil.Process(_pid(platform, part))
        family = [process] if part == "supervisor" else [process, *process.children(recursive=True)]
        shares[part] = sum(getattr(one.memory_full_info(), "pss", 0) for one in family) / 1e6
    each = ", ".join(f"{name} {share:.0f}" for name, share in shares.items())
    return f"{sum(shares.values()):.0f} MB ({each})"


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Yield a folder that is a small disk of its own where that is possible."""
    folder.mkdir()
    mounted = sys.platform == "linux" and os.geteuid() == 0 and _mount(folder)
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
