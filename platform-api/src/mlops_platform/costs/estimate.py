"""What a plan costs in a month. Pure: the same plan, prices, usage and day give the same estimate.

Every resource of the plan ends in exactly one of three places: priced lines, the list of free types, or the list of what
has no price. Nothing is zero in silence.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mlops_platform.costs import rules_compute, rules_network, rules_storage
from mlops_platform.costs.lines import Context, Kind, Line
from mlops_platform.costs.prices import NoPrice, PriceTable, Usage
from mlops_platform.infrastructure.plan import Plan

RULES = {**rules_compute.RULES, **rules_network.RULES, **rules_storage.RULES}
ASSUMED = rules_network.ASSUMED
ZERO = Decimal("0.00")


@dataclass(frozen=True)
class Unpriced:
    """A resource the estimate leaves out, and why."""

    resource: str
    reason: str


@dataclass(frozen=True)
class Estimate:
    """The monthly cost of one environment."""

    environment: str
    usage: str
    prices: PriceTable
    on: date
    lines: tuple[Line, ...]
    unpriced: tuple[Unpriced, ...]
    free: int

    @property
    def total(self) -> Decimal:
        """The sum of all lines."""
        return sum((line.monthly for line in self.lines), ZERO)

    def by_service(self) -> dict[str, Decimal]:
        """Return the sum per service, dearest first."""
        return _sums((line.service, line.monthly) for line in self.lines)

    def by_kind(self) -> dict[Kind, Decimal]:
        """Return the sum per kind; a kind without lines is zero."""
        return {kind: sum((line.monthly for line in self.lines if line.kind is kind), ZERO) for kind in Kind}


@dataclass(frozen=True)
class Difference:
    """How one estimate differs from another, service by service."""

    services: Mapping[str, tuple[Decimal, Decimal]]

    @property
    def change(self) -> Decimal:
        """By how much the month becomes dearer."""
        return sum((after - before for before, after in self.services.values()), ZERO)


def estimate(plan: Plan, prices: PriceTable, usage: Usage, on: date) -> Estimate:
    """Return the estimate of a plan on a day (the day decides whether Kubernetes is in extended support)."""
    context = Context(plan, prices, usage, on)
    lines: list[Line] = []
    unpriced: list[Unpriced] = []
    free = 0
    if plan.region != prices.region:
        unpriced.append(Unpriced("everything", f"the plan is for {plan.region}; prices are of {prices.region}"))
    for resource in plan.resources:
        rule, assumed = RULES.get(resource.type), ASSUMED.get(resource.type)
        if rule is None and resource.type not in prices.free:
            unpriced.append(Unpriced(resource.address, f"no rule prices {resource.type} and it is not listed as free"))
            continue
        try:
            priced = [line for each in (rule, assumed) if each is not None for line in each(resource, context)]
        except NoPrice as error:
            unpriced.append(Unpriced(resource.address, str(error)))
            continue
        free += not priced
        lines += priced
    return Estimate(plan.environment, usage.name, prices, on, tuple(lines), tuple(unpriced), free)


def difference(before: Estimate, after: Estimate) -> Difference:
    """Return how `after` differs from `before`; every service of either is in it."""
    old, new = before.by_service(), after.by_service()
    return Difference({name: (old.get(name, ZERO), new.get(name, ZERO)) for name in sorted({*old, *new})})


def _sums(pairs: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for name, amount in pairs:
        sums[name] += amount
    return dict(sorted(sums.items(), key=lambda pair: (-pair[1], pair[0])))
