"""Signals from the platform's own metrics: counters read from GET /metrics, as differences since a step began."""

from datetime import datetime
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mlops_platform.identity.scrape_token import scrape_token
from mlops_platform.rollouts.interfaces import Signals, SignalsUnavailable
from mlops_platform.rollouts.rollout import Signal

REQUESTS = "model_revision_requests"
DURATION = "model_revision_request_duration_seconds"
# a server error counts against the revision; a caller's mistake does not
_FAILED = "5"


class _Reading:
    """What the counters said at one moment."""

    def __init__(self, text: str, revision: str) -> None:
        self.requests = 0
        self.errors = 0
        self.buckets: dict[float, float] = {}
        for family in text_string_to_metric_families(text):
            if family.name not in {REQUESTS, DURATION}:
                continue
            for sample in family.samples:
                if sample.labels.get("revision") != revision:
                    continue
                if sample.name == f"{REQUESTS}_total":
                    self.requests += int(sample.value)
                    if sample.labels["status"].startswith(_FAILED):
                        self.errors += int(sample.value)
                elif sample.name == f"{DURATION}_bucket":
                    bound = float(sample.labels["le"])
                    self.buckets[bound] = self.buckets.get(bound, 0) + sample.value


class MetricsSignals(Signals):
    """Keeps, per revision and step, the first reading, and answers differences to it.

    The first reading is made when a step is first asked about, which the reconciler does at once. A counter that went
    back to zero (the API was restarted) starts a new reading, so a rollout judges less, never wrongly.
    """

    def __init__(self, url: str, scrape_token: Path, client: httpx.AsyncClient | None = None) -> None:
        self._url = f"{url}/metrics"
        self._scrape_token = scrape_token
        self._client = client or httpx.AsyncClient(timeout=5)
        self._first: dict[tuple[str, datetime], _Reading] = {}

    async def since(self, revision_id: str, start: datetime) -> Signal:
        try:
            token = scrape_token(self._scrape_token)
            response = await self._client.get(self._url, headers={"Authorization": f"Bearer {token}"})
            response.raise_for_status()
        except (httpx.HTTPError, OSError) as error:
            raise SignalsUnavailable(
                "The platform's metrics cannot be read; the rollout waits.", retry_after=2
            ) from error
        reading = _Reading(response.text, revision_id)
        first = self._first.get((revision_id, start))
        if first is None or reading.requests < first.requests:
            self._first = {key: kept for key, kept in self._first.items() if key[0] != revision_id}
            first = self._first[revision_id, start] = reading
        requests = reading.requests - first.requests
        counted = {bound: count - first.buckets.get(bound, 0) for bound, count in reading.buckets.items()}
        return Signal(requests, reading.errors - first.errors, _quantile(counted, 0.99))


def _quantile(buckets: dict[float, float], share: float) -> float | None:
    """Return the upper bound of the bucket that holds the quantile; None without observations."""
    total = max(buckets.values(), default=0)
    if total <= 0:
        return None
    return next(bound for bound, count in sorted(buckets.items()) if count >= share * total)
