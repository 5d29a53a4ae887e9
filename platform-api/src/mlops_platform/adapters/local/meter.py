"""The meter of one machine: processes of the embedded platform, and the folders it keeps data in."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from mlops_platform.costs.interfaces import Meter, ProcessUse, Reading, StoredUse
from mlops_platform.kit.clock import now

_MODEL_SERVING = "model-serving"
# what each folder of the home is a service of
_STORED = {
    "predictions": "prediction-log",
    "bundles": "bundles",
    "artifacts": "mlflow",
    "postgres": "postgres",
    "feast": "features",
}


class LocalMeter(Meter):
    """Reads process tables and folder sizes below one home. What is not there is not counted."""

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()

    def read(self) -> Reading:
        uses = tuple(use for use in (*self._models(), *self._platform()) if use is not None)
        stored = tuple(
            StoredUse(service, size) for folder, service in _STORED.items() if (size := _size(self._home / folder))
        )
        return Reading(now(), uses, stored)

    def _models(self) -> Iterator[ProcessUse | None]:
        """Model processes, which belong to a revision."""
        for path in sorted((self._home / "runtime" / "status").glob("*.json")):
            status = _json(path)
            yield _use(_MODEL_SERVING, status.get("pid"), status.get("process_started"), path.stem, children=False)

    def _platform(self) -> Iterator[ProcessUse | None]:
        """Processes of the supervisor, which belong to everybody."""
        # what model processes are forked from: its imports are shared by all of them
        template = _json(self._home / "runtime" / "template.json")
        yield _use("model-template", template.get("pid"), template.get("created"), "", children=False)
        children = _json(self._home / "run" / "state.json").get("children", {})
        for name, child in sorted(children.items()):
            yield _use(name, child.get("pid"), child.get("created"), "", children=True)


def _use(service: str, pid: int | None, created: float | None, revision: str, *, children: bool) -> ProcessUse | None:
    """Return what a process (and its children, as long as they live) uses; None when it has ended or the pid belongs to another one."""
    if pid is None or created is None:
        return None
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 1:
            return None
        family = [process, *(process.children(recursive=True) if children else ())]
    except psutil.NoSuchProcess:
        return None
    cpu, memory = 0.0, 0
    for each in family:
        try:
            times = each.cpu_times()
            cpu += times.user + times.system
            memory += _memory(each)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            # ended between the listing and the question, or not ours: nothing to pay for any more
            continue
    return ProcessUse(service, pid, created, cpu, memory, revision)


def _memory(process: psutil.Process) -> int:
    """Return a process's share of memory; where the system does not divide shared pages, what it holds by itself."""
    if share := getattr(process.memory_full_info(), "pss", 0):
        return int(share)
    info = process.memory_info()
    return int(max(0, info.rss - getattr(info, "shared", 0)))


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except FileNotFoundError:
                # moved while we looked
                continue
    return total


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}
