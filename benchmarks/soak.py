"""Everyday load for hours, and whether memory, descriptors and connections stay as they were.

Clients ask steadily for predictions at both doors, explanations, lists, pages and MLflow's registry; every few minutes a version is
registered, deployed and undeployed. Each part is looked at every half minute. A part is flat when its median in the last fifth of the
time is at most a tenth (memory: and 20 MB) above that of the second fifth: what is filled once, such as caches, is filled by then.
MINUTES in the environment says how long it takes (120).
"""

import json
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from benchmarks.models import LOGISTIC, deploy, row
from benchmarks.rounds import Bar, Line, single
from benchmarks.servers import Platform

_PARTS = ("supervisor", "api", "worker", "mlflow", "mlflow-door", "postgres")
_LOOK_SECONDS, _CHANGE_SECONDS = 30.0, 180.0
_GROWTH, _SPARE_MB, _SPARE_COUNT = 1.1, 20.0, 5.0


@dataclass(frozen=True)
class Look:
    """One part at one moment: proportional share of memory in MB, open descriptors, processes; all with its children."""

    memory: float
    descriptors: int
    processes: int


def run(*, quick: bool = False) -> list[Line]:
    """Load one platform; return a bar for each part and figure."""
    minutes = 3.0 if quick else float(os.environ.get("MINUTES", "120"))
    looks: dict[str, list[Look]] = {part: [] for part in _PARTS}
    with (
        tempfile.TemporaryDirectory(prefix="mlops-soak-") as folder,
        Platform(Path(folder), workers=2) as platform,
    ):
        token = platform.token("ana@company.com", "data-scientist")
        operator = platform.token("eva@company.com", "ml-engineer")
        deploy(platform, token, LOGISTIC)
        ends = time.monotonic() + minutes * 60
        with _clients(platform, token, operator) as answered:
            while time.monotonic() < ends:
                time.sleep(_LOOK_SECONDS if not quick else 3)
                for part, found in _looked(platform).items():
                    looks[part].append(found)
                print(
                    f"  {_shown({part: found[-1] for part, found in looks.items() if found})}",
                    flush=True,
                )
    print(f"  answers: {dict(sorted(answered.items()))}")
    return [line for part, found in looks.items() for line in verdict(part, found)] + [_failures(answered)]


def verdict(part: str, looks: list[Look]) -> list[Line]:
    """Return a line for each figure of a part: the last fifth beside the second fifth."""
    fifth = max(1, len(looks) // 5)
    early, late = looks[fifth : 2 * fifth], looks[-fifth:]
    lines = []
    for name, spare in (
        ("memory", _SPARE_MB),
        ("descriptors", _SPARE_COUNT),
        ("processes", _SPARE_COUNT),
    ):
        before, after = (statistics.median(getattr(look, name) for look in some) for some in (early, late))
        limit = max(before * _GROWTH, before + spare)
        lines.append(
            single(
                f"{part}, {name}, late / early",
                after,
                before,
                Bar(f"<= {limit:.0f}", after <= limit),
            )
        )
    return lines


def _failures(answered: Counter[str]) -> Line:
    failed = sum(count for what, count in answered.items() if not what.endswith(" 2xx"))
    return single(
        "requests that failed / all",
        failed,
        sum(answered.values()),
        Bar("= 0", failed == 0),
    )


def _shown(now: dict[str, Look]) -> str:
    return ", ".join(f"{part} {look.memory:.0f} MB {look.descriptors} fd" for part, look in now.items())


def _looked(platform: Platform) -> dict[str, Look]:
    state = json.loads((platform.home / "run" / "state.json").read_text())
    pids = {part: int(state["children"][part]["pid"]) for part in _PARTS if part in state["children"]}
    pids["supervisor"] = int(state["supervisor_pid"])
    found = {}
    for part, pid in pids.items():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            # the supervisor's children are the other parts, and models that come and go
            family = [process] if part == "supervisor" else [process, *process.children(recursive=True)]
            found[part] = Look(
                sum(getattr(one.memory_full_info(), "pss", 0) for one in family) / 1e6,
                sum(one.num_fds() for one in family),
                len(family),
            )
    return found


@contextmanager
def _clients(platform: Platform, token: str, operator: str) -> Iterator[Counter[str]]:
    """Ask while the block runs; yield how often what was answered how."""
    answered: Counter[str] = Counter()
    stop = threading.Event()
    question = {"model_name": LOGISTIC, "input_data": row()}
    infer = {
        "inputs": [{"name": key, "shape": [1], "datatype": "FP64", "data": [value]} for key, value in row().items()]
    }
    everyday: list[tuple[str, float, Callable[[requests.Session], requests.Response]]] = [
        (
            "predict",
            0.01,
            lambda http: http.post(f"{platform.url}/api/v1/predict", json=question, timeout=60),
        ),
        (
            "infer",
            0.02,
            lambda http: http.post(f"{platform.url}/v2/models/{LOGISTIC}/infer", json=infer, timeout=60),
        ),
        (
            "explain",
            0.5,
            lambda http: http.post(
                f"{platform.url}/api/v1/predict",
                json={**question, "return_explanations": True},
                timeout=60,
            ),
        ),
        (
            "models",
            0.3,
            lambda http: http.get(f"{platform.url}/api/v1/models", timeout=60),
        ),
        (
            "deployments",
            0.5,
            lambda http: http.get(f"{platform.url}/api/v1/deployments", timeout=60),
        ),
        (
            "registry",
            0.5,
            lambda http: http.get(
                f"{platform.mlflow_url}/api/2.0/mlflow/registered-models/get",
                params={"name": LOGISTIC},
                timeout=60,
            ),
        ),
    ]

    def go_on(what: str, pause: float, ask: Callable[[requests.Session], requests.Response]) -> None:
        with requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {token}"
            while not stop.wait(pause):
                try:
                    code = ask(http).status_code
                    answered[f"{what} {code // 100}xx"] += 1
                except requests.RequestException:
                    answered[f"{what} broken"] += 1

    def change() -> None:
        version = 1
        while not stop.wait(_CHANGE_SECONDS):
            version += 1
            answered[f"change {_change(platform, token, operator, version)}"] += 1

    threads = [threading.Thread(target=go_on, args=each) for each in everyday]
    threads.append(threading.Thread(target=change))
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _change(platform: Platform, token: str, operator: str, number: int) -> str:
    """Register the model again under a name that comes and goes, deploy and undeploy it; return '2xx', or what failed."""
    name = "bench-guest"
    own, other = ({"Authorization": f"Bearer {each}"} for each in (token, operator))
    api, mlflow = f"{platform.url}/api/v1", f"{platform.mlflow_url}/api/2.0/mlflow"
    shown = requests.get(
        f"{mlflow}/model-versions/get",
        params={"name": LOGISTIC, "version": "1"},
        headers=own,
        timeout=60,
    )
    source = shown.json()["model_version"]["source"]
    metadata = {"name": name, "risk_level": "low", "owner": "ana@company.com"}
    steps = [
        lambda: requests.post(
            f"{api}/models/register",
            json={"model_uri": source, "metadata": metadata},
            headers=own,
            timeout=60,
        ),
        lambda: requests.post(
            f"{api}/models/deploy",
            json={
                "model_name": name,
                "model_version": "latest",
                "target_stage": "staging",
                "justification": f"soak {number}",
            },
            headers=own,
            timeout=60,
        ),
    ]
    for step in steps:
        answer = step()
        if not answer.ok:
            return f"{answer.status_code} {answer.text[:200]}"
    deployment = answer.json()["deployment_id"]
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        state = requests.get(f"{api}/deployments/{deployment}", headers=own, timeout=60).json()["state"]
        if state == "live":
            break
        time.sleep(1)
    gone = requests.post(
        f"{api}/deployments/{deployment}/undeploy",
        json={"reason": "soak"},
        headers=other,
        timeout=60,
    )
    return "2xx" if gone.ok and state == "live" else f"{state}, undeploy {gone.status_code}"
