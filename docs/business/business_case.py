"""Write business-case.md from inputs.yaml and from the cloud bill in costs.md: `make docs`. A test compares page and computation.

Flows come at the end of each year. Net present value (NPV): the sum of flow / (1 + rate)^year. Internal rate of return (IRR):
the rate at which the NPV is zero. Payback: years until the sum of the flows, not discounted, is zero; within a year a flow
comes evenly. (Brealey, Myers, Allen: Principles of Corporate Finance, chapter on NPV and its competitors.)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import yaml
from scipy.optimize import brentq

FOLDER = Path(__file__).parent
PAGE = FOLDER / "business-case.md"
# how far each input is moved to see what the result hangs on
MOVED = 0.25
# conversions of units: what they stand beside is moved instead
CONVERSIONS = ("weeks_per_year", "working_days_per_year")
# no rate of return beyond these is told apart from "none"
_RATES = (-0.99, 100.0)

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Year:
    """One year in USD."""

    hours: float
    models: float
    people: float
    onboarding: float
    cloud: float

    @property
    def flow(self) -> float:
        return self.hours + self.models - self.people - self.onboarding - self.cloud


def npv(rate: float, flows: Sequence[float]) -> float:
    """Return today's value of flows at the ends of the years 1, 2, ..."""
    return sum(flow / (1 + rate) ** year for year, flow in enumerate(flows, start=1))


def irr(flows: Sequence[float]) -> float | None:
    """Return the rate at which the flows are worth nothing today; None unless their sign changes exactly once."""
    signs = [flow > 0 for flow in flows if flow]
    if sum(before != after for before, after in pairwise(signs)) != 1:
        return None
    low, high = _RATES
    if npv(low, flows) * npv(high, flows) > 0:
        return None
    return float(brentq(npv, low, high, args=(flows,)))


def payback(flows: Sequence[float]) -> float | None:
    """Return after how many years the sum of the flows is no longer negative; None when the given years do not suffice."""
    before = 0.0
    for year, total in enumerate(accumulate(flows)):
        if total >= 0:
            return year + (-before / flows[year] if before < 0 else 0.0)
        before = total
    return None


def years(inputs: Inputs, cloud_per_month: float) -> list[Year]:
    """Return what each year saves and costs."""
    hours = inputs["hours_saved_per_week"] * inputs["weeks_per_year"]
    day = inputs["cost_of_an_engineer"] / inputs["working_days_per_year"]
    return [
        Year(
            hours=scientists * share * hours * inputs["cost_of_an_hour"],
            models=models * inputs["engineer_days_saved_per_model"] * day,
            people=engineers * inputs["cost_of_an_engineer"],
            onboarding=onboarding,
            cloud=12 * cloud_per_month * growth,
        )
        for scientists, share, models, engineers, onboarding, growth in zip(
            inputs["scientists"],
            inputs["share_using_it"],
            inputs["models_to_production"],
            inputs["engineers"],
            inputs["onboarding"],
            inputs["cloud_growth"],
            strict=True,
        )
    ]


def value(inputs: Inputs, cloud_per_month: float) -> float:
    """Return the net present value of the whole case."""
    return npv(inputs["discount_rate"], [year.flow for year in years(inputs, cloud_per_month)])


def moved(inputs: Inputs, name: str, factor: float) -> dict[str, Any]:
    """Return the inputs with one of them multiplied, in every year that it names. A share stays at most 1."""
    one = inputs[name]
    most = 1.0 if name == "share_using_it" else float("inf")
    changed = [min(each * factor, most) for each in one] if isinstance(one, list) else one * factor
    return {**inputs, name: changed}


def sensitivity(inputs: Inputs, cloud_per_month: float) -> list[tuple[str, float, float]]:
    """Return each input with the NPV when it is a quarter less and a quarter more; what moves it furthest comes first.

    Conversions of units are left out.
    """
    rows = [
        (name, *(value(moved(inputs, name, factor), cloud_per_month) for factor in (1 - MOVED, 1 + MOVED)))
        for name in inputs
        if name not in CONVERSIONS
    ]
    rows.append(("cloud bill", *(value(inputs, cloud_per_month * factor) for factor in (1 - MOVED, 1 + MOVED))))
    return sorted(rows, key=lambda row: -abs(row[1] - row[2]))


def least_that_pays(name: str, inputs: Inputs, cloud_per_month: float) -> float:
    """Return the value of a benefit's input at which the NPV is zero, at least 0: the NPV is a straight line in it."""
    nothing = value({**inputs, name: 0.0}, cloud_per_month)
    one = value({**inputs, name: 1.0}, cloud_per_month)
    return max(0.0, -nothing / (one - nothing))


def declared() -> dict[str, dict[str, Any]]:
    """Return inputs.yaml: by name the value and where it comes from."""
    return dict(yaml.safe_load((FOLDER / "inputs.yaml").read_text()))


def cloud_bill() -> float:
    """Return USD per month of the three environments together, from costs.md, whose table a test computes."""
    found = re.search(
        r"^\| total \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \|$", (FOLDER / "costs.md").read_text(), re.MULTILINE
    )
    if found is None:
        raise ValueError(
            "costs.md has no row 'total' with three environments: `python -m tests.costs.document` writes it"
        )
    return sum(float(amount.replace(",", "")) for amount in found.groups())


def page() -> str:
    """Return business-case.md."""
    given = declared()
    inputs = {name: one["value"] for name, one in given.items()}
    return "\n".join(_lines(given, inputs, cloud_bill())) + "\n"


def _lines(given: Mapping[str, Mapping[str, Any]], inputs: Inputs, cloud: float) -> Iterator[str]:
    case = years(inputs, cloud)
    flows = [year.flow for year in case]
    days = inputs["engineer_days_saved_per_model"]
    least = least_that_pays("engineer_days_saved_per_model", inputs, cloud)
    yield from (
        "# Business case",
        "",
        "Three years of the platform, computed from [inputs.yaml](inputs.yaml) and from the bill in [costs](costs.md) by",
        "`docs/business/business_case.py`. Written by `make docs`; change the inputs, not this page. **Most inputs are assumptions.** The page",
        "shows how the result hangs on them; it is no promise of a result.",
        "",
        "## Result",
        "",
        f"- Net present value at {_percent(inputs['discount_rate'])}: **{_usd(value(inputs, cloud))}**.",
        f"- Internal rate of return: **{_rate(irr(flows))}**.",
        f"- Payback: **{_years(payback(flows))}**.",
        f"- It pays from **{least:.1f} days** of an engineer saved per model; the input says {days:g}.",
        "",
        "| | year 1 | year 2 | year 3 |",
        "|---|---:|---:|---:|",
    )
    for title, amounts in (
        ("hours of scientists saved", [year.hours for year in case]),
        ("days of engineers saved", [year.models for year in case]),
        ("people who run it", [-year.people for year in case]),
        ("onboarding", [-year.onboarding for year in case]),
        ("cloud, three environments", [-year.cloud for year in case]),
        ("**flow**", flows),
        ("flow, summed up", list(accumulate(flows))),
    ):
        yield f"| {title} | {' | '.join(_usd(amount) for amount in amounts)} |"
    yield from (
        "",
        "Only people's time is counted as a benefit. Incidents that do not happen, models that earn sooner, and audits that take less time are",
        "not: nobody has measured them here.",
        "",
        "## What it hangs on",
        "",
        f"Each input alone, {_percent(MOVED)} less and more (a share of people stays at most 100 %); the largest effect first.",
        "",
        "| input | NPV, a quarter less | NPV, a quarter more |",
        "|---|---:|---:|",
    )
    for name, less, more in sensitivity(inputs, cloud):
        yield f"| {name.replace('_', ' ')} | {_usd(less)} | {_usd(more)} |"
    yield from ("", "## Inputs", "", "| input | value | from |", "|---|---|---|")
    for name, one in given.items():
        values = one["value"] if isinstance(one["value"], list) else [one["value"]]
        yield f"| {name.replace('_', ' ')} | {', '.join(f'{each:,g}' for each in values)} | {one['from']} |"
    yield f"| cloud bill per month, year 1 | {cloud:,.2f} | [costs](costs.md): list prices of the plans of dev, staging and production |"
    yield from _earlier()


def _earlier() -> Iterator[str]:
    """The first case for the platform, as it was stated, computed again."""
    invested, gained = (15e6, 10e6, 10e6), (8e6, 18e6, 24e6)
    flows = [gain - cost for gain, cost in zip(gained, invested, strict=True)]
    yield from (
        "",
        "## The first case, computed again",
        "",
        "The first description of the platform stated 35 million of cost and 50 million of value in three years. Its documents contradict each",
        "other; from its own flows follows:",
        "",
        "| figure | stated | from its flows |",
        "|---|---|---|",
        f"| flows | | {', '.join(_usd(flow) for flow in flows)} |",
        f"| NPV | 30, 13.7 and 10.76 million | {_usd(npv(0.10, flows))} at 10 % |",
        f"| IRR | 28 % | {_rate(irr(flows))} |",
        f"| payback | about 24 months | {_years(payback(flows))} |",
        f"| return on what is invested | 42.9 % | {100 * sum(flows) / sum(invested):.1f} % |",
        "",
        "Its cloud bill is stated as about 3 thousand, 25 thousand, 380 thousand and 850 thousand USD per month in different places. The bill",
        "above comes from the plans of the environments in this repository, without graphics processors and without the models' own load.",
    )


def _usd(amount: float) -> str:
    return f"{'-' if round(amount) < 0 else ''}{abs(amount):,.0f} USD"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rate(rate: float | None) -> str:
    return "none: the flows do not change their sign exactly once" if rate is None else _percent(rate)


def _years(count: float | None) -> str:
    return "not within three years" if count is None else f"{count:.1f} years"


if __name__ == "__main__":
    PAGE.write_text(page())
