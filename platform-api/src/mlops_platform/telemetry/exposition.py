"""The metrics text. Several API processes share one folder of counters, so any of them answers for all."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest, multiprocess
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue, ValueClass

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# as the library decided when it was imported: Feast sets the variable afterwards, for a server of its own
_SHARED = ValueClass is not MutexValue


class _Shown(Collector):
    """What another collector has, without values that mean 'not measured any more' (telemetry/gauges.py)."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterable[Metric]:
        for metric in self._inner.collect():
            if metric.type == "gauge":
                metric.samples = [sample for sample in metric.samples if not math.isnan(sample.value)]
            yield metric


def registry() -> CollectorRegistry:
    """Return what to expose: this process, or all processes when it was started with PROMETHEUS_MULTIPROC_DIR."""
    shown = CollectorRegistry()
    if not _SHARED:
        shown.register(_Shown(REGISTRY))
        return shown
    collected = CollectorRegistry()
    multiprocess.MultiProcessCollector(collected)  # type: ignore[no-untyped-call]  # the library's own constructor is untyped
    shown.register(_Shown(collected))
    return shown


def exposition() -> bytes:
    """Return the Prometheus text of `registry()`. Gauges of processes that ended are dropped; their counters are kept."""
    if _SHARED:
        _forget_the_dead(Path(os.environ[_FOLDER]))
    return bytes(generate_latest(registry()))


def _forget_the_dead(folder: Path) -> None:
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rsplit("_", 1)[1])
        if not _alive(pid):
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
