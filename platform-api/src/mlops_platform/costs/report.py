"""An estimate as JSON for programs, and as Markdown for docs/business/costs.md. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from mlops_platform.costs.estimate import ZERO, Difference, Estimate
from mlops_platform.costs.lines import Kind


def as_json(estimate: Estimate) -> dict[str, Any]:
    """Return everything the estimate knows; amounts are strings with two places, as money is."""
    return {
        "environment": estimate.environment,
        "region": estimate.prices.region,
        "currency": estimate.prices.currency,
        "prices_as_of": estimate.prices.as_of.isoformat(),
        "prices_source": estimate.prices.source,
        "usage_profile": estimate.usage,
        "on": estimate.on.isoformat(),
        "monthly_total": str(estimate.total),
        "by_service": {name: str(amount) for name, amount in estimate.by_service().items()},
        "by_kind": {kind.value: str(amount) for kind, amount in estimate.by_kind().items()},
        "lines": [
            {
                "service": line.service,
                "resource": line.resource,
                "description": line.description,
                "kind": line.kind.value,
                "quantity": f"{line.quantity:f}",
                "unit": line.unit,
                "unit_price": f"{line.price:f}",
                "monthly": str(line.monthly),
            }
            for line in estimate.lines
        ],
        "unpriced": [{"resource": entry.resource, "reason": entry.reason} for entry in estimate.unpriced],
        "free_resources": estimate.free,
    }


def difference_as_json(difference: Difference) -> dict[str, Any]:
    """Return the difference, service by service."""
    return {
        "monthly_change": str(difference.change),
        "by_service": {
            name: {"before": str(before), "after": str(after), "change": str(after - before)}
            for name, (before, after) in difference.services.items()
        },
    }


def rows(estimates: Sequence[Estimate]) -> list[dict[str, str]]:
    """Return one row per service and a total, one column per environment."""
    sums = [estimate.by_service() for estimate in estimates]
    names = sorted(
        {name for each in sums for name in each}, key=lambda name: (-max(each.get(name, ZERO) for each in sums), name)
    )
    table = [{"service": name, **_columns(estimates, [each.get(name, ZERO) for each in sums])} for name in names]
    return [*table, {"service": "total", **_columns(estimates, [estimate.total for estimate in estimates])}]


def kinds(estimates: Sequence[Estimate]) -> list[dict[str, str]]:
    """Return one row per kind of cost, one column per environment."""
    return [
        {"kind": kind.value, **_columns(estimates, [estimate.by_kind()[kind] for estimate in estimates])}
        for kind in Kind
    ]


def markdown(estimates: Sequence[Estimate]) -> str:
    """Return both tables as Markdown."""
    return _markdown(rows(estimates)) + "\n" + _markdown(kinds(estimates))


def _columns(estimates: Sequence[Estimate], amounts: Sequence[Decimal]) -> dict[str, str]:
    return {estimate.environment: f"{amount:,.2f}" for estimate, amount in zip(estimates, amounts, strict=True)}


def _markdown(table: Sequence[dict[str, str]]) -> str:
    columns = list(table[0])
    lines = [f"| {' | '.join(columns)} |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    lines += [f"| {' | '.join(row[column] for column in columns)} |" for row in table]
    return "\n".join(lines) + "\n"
