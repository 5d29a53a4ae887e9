"""What a model server counts, for Prometheus: requests and seconds, labelled with the model's name and version."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class ModelMetrics:
    """The counters of one served model, in a registry of their own."""

    def __init__(self, model_name: str, model_version: int) -> None:
        self._registry = CollectorRegistry()
        names = ("model_name", "model_version")
        self._labels = (model_name, str(model_version))
        self._requests = Counter(
            "model_server_requests", "Requests by operation and HTTP status.", (*names, "operation", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "model_server_request_duration_seconds", "Seconds from a request's last byte to its answer.",
            (*names, "operation"), buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        ready = Gauge("model_server_ready", "1 while the model can answer.", names, registry=self._registry)
        ready.labels(*self._labels).set(1)

    def count(self, operation: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(*self._labels, operation, str(status)).inc()
        self._seconds.labels(*self._labels, operation).observe(seconds)

    def exposition(self) -> bytes:
        """Return everything counted, in the Prometheus text format."""
        return generate_latest(self._registry)
