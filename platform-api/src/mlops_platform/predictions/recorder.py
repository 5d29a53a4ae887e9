"""Counting requests on the hot path: plain additions per request, handed to the metrics library a few times a second.

The library's own counters cost about as much as the model; adding to Python integers does not.
"""

from bisect import bisect_left
from typing import Any

from mlops_platform.telemetry import metrics

_BOUNDS = metrics.LATENCY_BUCKETS
_API_BOUNDS = metrics.API_BUCKETS


class _Durations:
    """Observations waiting to be added to one histogram child."""

    def __init__(self, child: Any, bounds: tuple[float, ...]) -> None:
        self._child = child
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def flush(self) -> None:
        if not self._sum and not any(self._counts):
            return
        # the library has no public way to add many observations at once; a test compares the result with observe()
        for bucket, count in zip(self._child._buckets, self._counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self._child._sum.inc(self._sum)  # noqa: SLF001
        self._counts = [0] * len(self._counts)
        self._sum = 0.0


class EndpointRecorder:
    """Requests of one method, endpoint and model (empty for none)."""

    def __init__(self, method: str, endpoint: str, model_name: str = "") -> None:
        self._labels = (method, endpoint)
        self._model = model_name
        self._statuses: dict[int, int] = {}
        self._durations = _Durations(
            metrics.http_request_duration_seconds.labels(method, endpoint, model_name), _BOUNDS
        )
        self._api_durations = _Durations(
            metrics.platform_api_request_duration_seconds.labels(method, endpoint), _API_BOUNDS
        )

    def record(self, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._durations.observe(seconds)
        self._api_durations.observe(seconds)

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for status, count in self._statuses.items():
            metrics.http_requests_total.labels(*self._labels, str(status), self._model).inc(count)
            metrics.platform_api_requests_total.labels(*self._labels, str(status)).inc(count)
        self._statuses = {}
        self._durations.flush()
        self._api_durations.flush()


class RevisionRecorder:
    """Requests and rows of one revision: what rollouts are judged by."""

    def __init__(self, model_name: str, revision_id: str) -> None:
        self._labels = (revision_id, model_name)
        self._statuses: dict[int, int] = {}
        self._rows = 0
        self._durations = _Durations(metrics.model_revision_request_duration_seconds.labels(*self._labels), _BOUNDS)

    def record(self, status: int, rows: int, seconds: float) -> None:
        """Count one answered request of so many rows."""
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._rows += rows
        self._durations.observe(seconds)

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for status, count in self._statuses.items():
            metrics.model_revision_requests_total.labels(*self._labels, str(status)).inc(count)
            outcome = "success" if status < 400 else "error"  # noqa: PLR2004 - HTTP's line
            metrics.platform_api_predictions_total.labels(self._labels[1], outcome).inc(count)
        if self._rows:
            metrics.prediction_rows_total.labels(self._labels[1]).inc(self._rows)
        self._statuses, self._rows = {}, 0
        self._durations.flush()
