"""Signals from Prometheus: what all API processes counted together since a step began."""

import math
from datetime import datetime
from typing import Any

import httpx

from mlops_platform.kit.clock import now
from mlops_platform.rollouts.interfaces import Signals, SignalsUnavailable
from mlops_platform.rollouts.rollout import Signal

_REQUESTS = "model_revision_requests_total"
_DURATION = "model_revision_request_duration_seconds_bucket"
_FAILED = "5"


class PrometheusSignals(Signals):
    """Asks the HTTP API. A counter that appeared since the step counts in full; one that restarted counts as zero."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._client = client or httpx.AsyncClient(timeout=5)

    async def since(self, revision_id: str, start: datetime) -> Signal:
        at = now()
        milliseconds = max(1, math.ceil((at - start).total_seconds() * 1000))
        requests = {
            str(sample["metric"].get("status", "")): float(sample["value"][1])
            for sample in await self._ask(f"sum by (status) ({_grown(_REQUESTS, revision_id, milliseconds)})", at)
        }
        slow = await self._ask(
            f"histogram_quantile(0.99, sum by (le) ({_grown(_DURATION, revision_id, milliseconds)}))", at
        )
        p99 = float(slow[0]["value"][1]) if slow else math.nan
        errors = sum(count for status, count in requests.items() if status.startswith(_FAILED))
        return Signal(round(sum(requests.values())), round(errors), None if math.isnan(p99) else p99)

    async def _ask(self, query: str, at: datetime) -> list[dict[str, Any]]:
        try:
            response = await self._client.post(self._url, data={"query": query, "time": str(at.timestamp())})
            response.raise_for_status()
            answer = response.json()
            found: list[dict[str, Any]] = answer["data"]["result"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise SignalsUnavailable("Prometheus does not answer; the rollout waits.", retry_after=5) from error
        return found


def _grown(metric: str, revision_id: str, milliseconds: int) -> str:
    """Return the expression for what a counter grew by, series by series."""
    series = f'{metric}{{revision="{revision_id}"}}'
    return f"clamp_min({series} - {series} offset {milliseconds}ms, 0) or {series}"
