"""What one model server counts. Names of its own: the platform's gateway counts the same requests under http_requests_total."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class ServerMetrics:
    """Requests of one model by kind (predict, explain, other) and status, their durations, and the process's own numbers."""

    def __init__(self, model_name: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._model = model_name
        self._age = Gauge(
            "model_server_revocation_list_age_seconds",
            "Age of the newest list of withdrawn approvals the model server has read; only in pods, where it reads one.",
            ["model_name"],
            registry=self._registry,
        )
        self._requests = Counter(
            "model_server_requests_total",
            "Requests the model server answered.",
            ["model_name", "kind", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "model_server_request_duration_seconds",
            "Seconds from request to answer in the model server.",
            ["model_name", "kind"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request; what a caller makes up as a path does not become a label."""
        kind = "other"
        if status not in {404, 405}:
            kind = (
                "explain"
                if path.endswith("explain")
                else "predict"
                if path.endswith(("predict", "infer", "invocations"))
                else "other"
            )
        self._requests.labels(self._model, kind, str(status)).inc()
        self._seconds.labels(self._model, kind).observe(seconds)

    def show_age_of_list(self, seconds: float) -> None:
        """Show how old the newest list of withdrawn approvals is."""
        self._age.labels(self._model).set(seconds)

    def text(self) -> bytes:
        """Return the Prometheus text."""
        return bytes(generate_latest(self._registry))
