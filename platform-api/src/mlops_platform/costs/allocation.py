"""Who pays: costs whose owner is not known are divided by the rows each model answered. Pure.

Nothing is lost and nothing invented: what comes out adds up to what went in, to the last digit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import ROUND_DOWN, Decimal

from mlops_platform.costs.interfaces import SHARED, Cost

# what a megabyte costs in a second is still many of these: rounded coarser, small things would be free for ever
GRAIN = Decimal("0.000000000000001")

# (tenant, model) -> rows answered
Rows = Mapping[tuple[str, str], int]


def allocate(costs: Iterable[Cost], rows: Rows) -> list[Cost]:
    """Return the same costs with their owners.

    A cost of a tenant is divided among its models, a cost of nobody among all models, by rows answered. Where no row was
    answered, a tenant's cost stays the tenant's as a whole, and nobody's is the tenant `shared`.
    """
    sums: dict[tuple[date, str, str, str], Decimal] = defaultdict(Decimal)
    for cost in costs:
        for part in _parts(cost, rows):
            sums[part.day, part.service, part.tenant, part.model] += part.usd
    return [Cost(day, service, tenant, model, usd) for (day, service, tenant, model), usd in sums.items() if usd]


def _parts(cost: Cost, rows: Rows) -> Iterator[Cost]:
    if cost.model:
        yield replace(cost, tenant=cost.tenant or SHARED)
        return
    owners = {owner: count for owner, count in rows.items() if count > 0 and cost.tenant in ("", owner[0])}
    total = sum(owners.values())
    if not total:
        yield replace(cost, tenant=cost.tenant or SHARED)
        return
    left = cost.usd
    *others, last = sorted(owners)
    for tenant, model in others:
        part = (cost.usd * owners[tenant, model] / total).quantize(GRAIN, ROUND_DOWN)
        left -= part
        yield replace(cost, tenant=tenant, model=model, usd=part)
    yield replace(cost, tenant=last[0], model=last[1], usd=left)
