"""One line of an estimate, and how rules make lines. Pure."""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from mlops_platform.costs.prices import PriceTable, Usage
from mlops_platform.infrastructure.plan import Plan

CENT = Decimal("0.01")


class Kind(StrEnum):
    """Why a line costs what it costs."""

    FIXED = "fixed"  # by the hour or month, whatever happens
    ON_DEMAND = "on-demand"  # machines at list price
    SPOT = "spot"  # machines that AWS may take back; price assumed
    USAGE = "usage"  # by what is used; quantity assumed


@dataclass(frozen=True)
class Line:
    """A monthly cost, rounded to cents, so that printed lines add up to printed totals."""

    service: str
    resource: str
    description: str
    kind: Kind
    quantity: Decimal
    unit: str
    price: Decimal
    monthly: Decimal


@dataclass(frozen=True)
class Context:
    """What a rule may look at besides its resource."""

    plan: Plan
    prices: PriceTable
    usage: Usage
    on: date

    def line(
        self, service: str, resource: str, description: str, kind: Kind, quantity: Decimal, unit: str, price: Decimal
    ) -> Line:
        """Return a line; its cost is quantity times price, rounded half up to cents."""
        monthly = (quantity * price).quantize(CENT, ROUND_HALF_UP)
        return Line(service, resource, description, kind, quantity, unit, price, monthly)

    def hourly(
        self, service: str, resource: str, description: str, price: Decimal, *, count: int = 1, kind: Kind = Kind.FIXED
    ) -> Line:
        """Return a line for `count` things that cost `price` every hour of the month."""
        return self.line(service, resource, description, kind, self.prices.hours * count, "hours", price)

    def used(self, service: str, resource: str, description: str, quantity: Decimal, unit: str, price: Decimal) -> Line:
        """Return a line for an assumed quantity."""
        return self.line(service, resource, description, Kind.USAGE, quantity, unit, price)
