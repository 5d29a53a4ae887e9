"""Rounds taken in turn, what their ratios say, and which of them must hold.

Two servers measured one after the other meet two different machines: something else always wants the processor. So
every comparison takes its rounds in turn, A B A B …, and divides within a round. The median of those ratios is the
result; the lowest and the highest say how far to trust it.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.load import Result

Measure = Callable[[], Result]


class Bar(NamedTuple):
    """What must hold, and whether it does. A line without one is only reported."""

    words: str
    met: bool


class Line(NamedTuple):
    """One line of a table."""

    what: str
    ours: float
    beside: float
    ratio: float
    lowest: float
    highest: float
    bar: Bar | None = None


def at_least(limit: float, value: float) -> Bar:
    """Return the bar 'at least so much'."""
    return Bar(f">= {limit:g}", value >= limit)


def at_most(limit: float, value: float, unit: str = "") -> Bar:
    """Return the bar 'at most so much'."""
    return Bar(f"<= {limit:g}{unit}", value <= limit)


def in_turn(contenders: Mapping[str, Measure], rounds: int) -> dict[str, list[Result]]:
    """Measure every contender once per round, in the given order; a first round, which warms them up, does not count."""
    found: dict[str, list[Result]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, measure in contenders.items():
            result = measure()
            if number:
                found[name].append(result)
    return found


def rates(
    what: str,
    ours: Sequence[Result],
    beside: Sequence[Result],
    *,
    least: float | None = None,
) -> Line:
    """Compare answers per second. With `least` the median of the ratios is a bar, missed also when answers failed."""
    return _line(
        what,
        ours,
        beside,
        [result.rps for result in ours],
        [result.rps for result in beside],
        least,
    )


def tails(what: str, ours: Sequence[Result], beside: Sequence[Result]) -> Line:
    """Compare the 95th percentile of the time to an answer, in milliseconds."""
    return _line(
        what,
        ours,
        beside,
        [result.p95_ms for result in ours],
        [result.p95_ms for result in beside],
        None,
    )


def costs(what: str, ours: Sequence[Result], beside: Sequence[Result]) -> Line:
    """Compare what an answer costs its server in processor time, in microseconds."""
    return _line(
        what,
        ours,
        beside,
        [result.cpu_us for result in ours],
        [result.cpu_us for result in beside],
        None,
    )


def single(what: str, ours: float, beside: float, bar: Bar | None = None) -> Line:
    """Compare two figures that were measured once."""
    ratio = ours / beside
    return Line(what, ours, beside, ratio, ratio, ratio, bar)


def _line(
    what: str,
    ours: Sequence[Result],
    beside: Sequence[Result],
    mine: Sequence[float],
    theirs: Sequence[float],
    least: float | None,
) -> Line:
    ratios = [own / other for own, other in zip(mine, theirs, strict=True)]
    ratio = statistics.median(ratios)
    failed = {who: sum(result.errors for result in results) for who, results in (("ours", ours), ("beside", beside))}
    bar = at_least(least, ratio) if least is not None else None
    if any(failed.values()):
        what = f"{what} ({', '.join(f'{count} errors {who}' for who, count in failed.items() if count)})"
        bar = bar._replace(met=False) if bar else None
    return Line(
        what,
        statistics.median(mine),
        statistics.median(theirs),
        ratio,
        min(ratios),
        max(ratios),
        bar,
    )
