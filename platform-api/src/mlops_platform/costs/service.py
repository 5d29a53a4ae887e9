"""Costs as they are read, allocated, shown and exposed."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

import anyio
import structlog

from mlops_platform.costs import repository
from mlops_platform.costs.allocation import Rows, allocate
from mlops_platform.costs.budgets import Spent, month_of, spent_by_tenant
from mlops_platform.costs.interfaces import Bill, Cost, Meter
from mlops_platform.costs.metering import Rates, metered, plausible
from mlops_platform.costs.prices import load_prices
from mlops_platform.costs.schemas import BudgetView, CostReport, CostView
from mlops_platform.database.session import ReadSession
from mlops_platform.dependencies import Services
from mlops_platform.deployments import service as deployments
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.telemetry import metrics
from mlops_platform.tenants import service as tenants

log = structlog.get_logger(__name__)

# AWS changes the last days of a bill for a while
_STILL_CHANGES = timedelta(days=3)


async def refresh(services: Services) -> None:
    """Read the bill when it is due, or the meter; allocate and keep what it says. One transaction: a kill loses nothing."""
    match services.costs:
        case Meter() as meter:
            await _meter(services, meter)
        case Bill() as bill:
            await _bill(services, bill)


async def _meter(services: Services, meter: Meter) -> None:
    reading, odd = plausible(await anyio.to_thread.run_sync(meter.read))
    for use in odd:
        metrics.worker_items_failed_total.labels("costs").inc()
        log.error("process left out of the costs: its figures are impossible", pid=use.pid, part=use.service)
    rows = await _rows(services, reading.at.date())
    async with services.database.session() as session:
        owners = await deployments.owners_of_revisions(session)
        last = await repository.last_reading(session)
        before = last[2] if last and last[1] == "meter" else None
        used = metered(before, reading, Rates.of(load_prices()), owners)
        await repository.add(session, allocate(used, rows))
        await repository.keep_reading(session, reading.at, "meter", reading)


async def _bill(services: Services, bill: Bill) -> None:
    at = now()
    async with services.database.read_session() as session:
        last = await repository.last_reading(session)
    if last and last[1] == "bill" and at - last[0] < timedelta(seconds=services.settings.costs_refresh_seconds):
        return
    until = at.date() + timedelta(days=1)
    since = min(month_of(at.date())[0], at.date() - _STILL_CHANGES)
    costs = await bill.costs(since, until)
    owned: list[Cost] = []
    for day in sorted({cost.day for cost in costs}):
        owned += allocate([cost for cost in costs if cost.day == day], await _rows(services, day))
    async with services.database.session() as session:
        await repository.replace_days(session, since, until, owned)
        await repository.keep_reading(session, at, "bill", None)


async def _rows(services: Services, day: date) -> Rows:
    return await anyio.to_thread.run_sync(services.prediction_log.rows_on, day)


async def month(session: ReadSession, budgets: Mapping[str, Decimal], at: datetime) -> tuple[list[Cost], list[Spent]]:
    """Return this month's costs per service, tenant and model, and how much of its budget each tenant has spent."""
    costs = await repository.between(session, *month_of(at.date()))
    return costs, spent_by_tenant(costs, budgets)


async def last_day(session: ReadSession, at: datetime) -> list[Cost]:
    """Return the costs of the last whole day, or of today as long as nothing is known of yesterday."""
    today = at.date()
    yesterday = await repository.between(session, today - timedelta(days=1), today)
    return yesterday or await repository.between(session, today, today + timedelta(days=1))


async def report(session: ReadSession, services: Services, caller: Principal) -> CostReport:
    """Return this month's costs of the tenants the caller may ask about."""
    at = now()
    costs, spent = await month(session, tenants.budgets(services.settings.tenants_dir), at)
    names = {cost.tenant for cost in costs} | {each.tenant for each in spent}
    allowed = {name for name in names if services.authorizer.allowed(caller, "cost:read", name)}
    mine = [cost for cost in costs if cost.tenant in allowed]
    last = await repository.last_reading(session)
    services_named = sorted({cost.service for cost in mine})
    return CostReport(
        month=month_of(at.date())[0],
        currency="USD",
        source=last[1] if last else "none",
        read_at=last[0] if last else None,
        total=sum((cost.usd for cost in mine), Decimal(0)),
        by_service={
            name: sum((cost.usd for cost in mine if cost.service == name), Decimal(0)) for name in services_named
        },
        items=[
            CostView(service=cost.service, tenant=cost.tenant, model=cost.model or None, usd=cost.usd) for cost in mine
        ],
        budgets=[
            BudgetView(tenant=each.tenant, spent=each.spent, budget=each.budget, share=each.share)
            for each in spent
            if each.tenant in allowed
        ],
    )
