"""The metrics text. Several API processes share one folder of counters, so any of them answers for all."""

import os

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess


def exposition() -> bytes:
    """Return the Prometheus text of this process, or of all processes when PROMETHEUS_MULTIPROC_DIR is set."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return bytes(generate_latest(REGISTRY))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own constructor is untyped
    return bytes(generate_latest(registry))
