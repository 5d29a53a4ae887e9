"""Costs are read again and again, and shown as metrics."""

from collections import defaultdict
from collections.abc import Mapping

from prometheus_client import Gauge

from mlops_platform.costs import service
from mlops_platform.dependencies import Services
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics
from mlops_platform.tenants import service as tenants

# labels shown before, per gauge: one without costs this month shows 0 and not its last value
_shown: dict[Gauge, set[tuple[str, ...]]] = defaultdict(set)


async def _refresh(services: Services) -> None:
    try:
        await service.refresh(services)
    finally:
        # a bill that cannot be read leaves what is known
        await expose(services)


async def expose(services: Services) -> None:
    """Set the gauges to what the tables say."""
    at = now()
    async with services.database.read_session() as session:
        costs, spent = await service.month(session, tenants.budgets(services.settings.tenants_dir), at)
        day = await service.last_day(session, at)
    by_service: dict[tuple[str, ...], float] = defaultdict(float)
    for cost in costs:
        by_service[(cost.service,)] += float(cost.usd)
    daily: dict[tuple[str, ...], float] = defaultdict(float)
    for cost in day:
        daily[(cost.service,)] += float(cost.usd)
    _set(metrics.cost_month_to_date_usd, {(cost.service, cost.tenant, cost.model): float(cost.usd) for cost in costs})
    _set(metrics.aws_billing_estimated_charges_usd, by_service)
    _set(metrics.cost_daily_usd, daily)
    _set(metrics.tenant_cost_month_to_date_usd, {(each.tenant,): float(each.spent) for each in spent})
    _set(metrics.tenant_budget_usd, {(each.tenant,): float(each.budget) for each in spent if each.budget is not None})


def _set(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    for labels in _shown[gauge] - values.keys():
        gauge.labels(*labels).set(0)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    _shown[gauge] |= values.keys()


JOBS = (Job("costs", 30, _refresh),)
