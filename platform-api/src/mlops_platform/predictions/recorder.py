"""Counting requests on the hot path: plain additions per request, handed to the metrics library a few times a second.

The library's own counters cost about as much as the model; appending to a list does not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlops_platform.telemetry import metrics

_BOUNDS = metrics.LATENCY_BUCKETS
_API_BOUNDS = metrics.API_BUCKETS


def _observe(child: Any, bounds: Sequence[float], seconds: Sequence[float]) -> None:
    """Add many observations to one histogram child at once."""
    # the library has no public way to do this; a test compares the result with observe()
    counts = np.bincount(np.searchsorted(bounds, seconds, side="left"), minlength=len(bounds) + 1)
    for bucket, count in zip(child._buckets, counts.tolist(), strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)
    child._sum.inc(sum(seconds))  # noqa: SLF001


class EndpointRecorder:
    """Requests of one method, endpoint and model (empty for none)."""

    def __init__(self, method: str, endpoint: str, model_name: str = "") -> None:
        self._labels = (method, endpoint)
        self._model = model_name
        self._statuses: dict[int, int] = {}
        self._seconds: list[float] = []
        self._durations = metrics.http_request_duration_seconds.labels(method, endpoint, model_name)
        self._api_durations = metrics.platform_api_request_duration_seconds.labels(method, endpoint)
        if model_name:
            # a series that begins at its first request has no rate: the first request of a model must be an increase
            metrics.http_requests_total.labels(method, endpoint, "200", model_name)

    def record(self, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._seconds.append(seconds)

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for status, count in self._statuses.items():
            metrics.http_requests_total.labels(*self._labels, str(status), self._model).inc(count)
            metrics.platform_api_requests_total.labels(*self._labels, str(status)).inc(count)
        if self._seconds:
            _observe(self._durations, _BOUNDS, self._seconds)
            _observe(self._api_durations, _API_BOUNDS, self._seconds)
        self._statuses, self._seconds = {}, []


class RevisionRecorder:
    """Requests and rows of one revision: what rollouts are judged by."""

    def __init__(self, model_name: str, revision_id: str) -> None:
        self._labels = (revision_id, model_name)
        self._statuses: dict[int, int] = {}
        self._rows = 0
        self._seconds: list[float] = []
        self._durations = metrics.model_revision_request_duration_seconds.labels(*self._labels)
        # there before the first request, so that the first one is an increase
        metrics.model_revision_requests_total.labels(*self._labels, "200")

    def record(self, status: int, rows: int, seconds: float) -> None:
        """Count one answered request of so many rows."""
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._rows += rows
        self._seconds.append(seconds)

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for status, count in self._statuses.items():
            metrics.model_revision_requests_total.labels(*self._labels, str(status)).inc(count)
            outcome = "success" if status < 400 else "error"  # noqa: PLR2004 - HTTP's line
            metrics.platform_api_predictions_total.labels(self._labels[1], outcome).inc(count)
        if self._rows:
            metrics.prediction_rows_total.labels(self._labels[1]).inc(self._rows)
        if self._seconds:
            _observe(self._durations, _BOUNDS, self._seconds)
        self._statuses, self._rows, self._seconds = {}, 0, []
