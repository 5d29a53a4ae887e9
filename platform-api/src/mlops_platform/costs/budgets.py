"""How much of its budget a tenant has spent. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from mlops_platform.costs.interfaces import Cost


@dataclass(frozen=True)
class Spent:
    """A tenant's month so far. `budget` is None for a tenant nobody gave one."""

    tenant: str
    spent: Decimal
    budget: Decimal | None

    @property
    def share(self) -> Decimal | None:
        """Spent as a share of the budget; None without one."""
        return self.spent / self.budget if self.budget else None


def month_of(day: date) -> tuple[date, date]:
    """Return the first day of a day's month and of the next."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def spent_by_tenant(costs: Iterable[Cost], budgets: Mapping[str, Decimal]) -> list[Spent]:
    """Return every tenant that spent something or may, by name."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for cost in costs:
        sums[cost.tenant] += cost.usd
    return [Spent(tenant, sums[tenant], budgets.get(tenant)) for tenant in sorted({*sums, *budgets})]
