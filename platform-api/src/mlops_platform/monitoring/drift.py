"""Has what a model is asked moved away from what it learnt from? Pure.

The population stability index compares shares of bins: sum((a - e) * ln(a / e)). Below 0.1 is calm, above 0.2 is a
different population. Bins are quantiles of the training sample, so that each holds about as many rows, and there are
only as many as the sample can carry: with few rows per bin chance alone would look like drift.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ROWS_PER_BIN = 20
MOST_BINS = 10
# fewer rows than these say nothing either way
LEAST_BASELINE, LEAST_WINDOW = 20, 50
# how far beyond the sample's own range a number is still plausible, as a share of that range
_MARGIN = 0.1
_MOST_CATEGORIES = 20


@dataclass(frozen=True)
class FeatureReport:
    """How one feature of the window compares with the sample. `psi` is None when there are too few values."""

    psi: float | None
    null_share: float
    out_of_range_share: float
    expected_null_share: float


@dataclass(frozen=True)
class Report:
    """How a window compares with the sample."""

    rows: int
    features: dict[str, FeatureReport]

    @property
    def quality(self) -> float:
        """Share of values that are present (as far as the sample's were) and plausible, over all features: 0 to 1."""
        if not self.features:
            return 1.0
        bad = [
            max(0.0, found.null_share - found.expected_null_share) + found.out_of_range_share
            for found in self.features.values()
        ]
        return max(0.0, 1 - sum(min(1.0, share) for share in bad) / len(bad))


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return the index of two lists of counts over the same bins: 0 for equal shares, never negative.

    Half a row is added to each bin, so that an empty one gives a large index and not an endless one.
    """
    if len(expected) != len(actual):
        raise ValueError("both counts must have the same bins")
    total_expected, total_actual = sum(expected) + 0.5 * len(expected), sum(actual) + 0.5 * len(actual)
    found = 0.0
    for wanted, seen in zip(expected, actual, strict=True):
        share_expected, share_actual = (wanted + 0.5) / total_expected, (seen + 0.5) / total_actual
        found += (share_actual - share_expected) * math.log(share_actual / share_expected)
    return max(0.0, found)


def compare(baseline: dict[str, list[Any]], window: dict[str, list[Any]]) -> Report:
    """Compare columns of a window with the columns of the sample; columns of only one side are left out."""
    features = {name: compare_feature(baseline[name], window[name]) for name in baseline if name in window}
    return Report(max(map(len, window.values()), default=0), features)


def compare_feature(baseline: Sequence[Any], window: Sequence[Any]) -> FeatureReport:
    """Compare one feature. Null is None or a number that is none (NaN)."""
    known, seen = _present(baseline), _present(window)
    null_share = 1 - len(seen) / len(window) if window else 0.0
    expected_nulls = 1 - len(known) / len(baseline) if baseline else 0.0
    if not known:
        return FeatureReport(None, null_share, 0.0, expected_nulls)
    numeric = all(_is_number(value) for value in known)
    plausible = _range(known) if numeric else _among(known)
    strange = sum(not plausible(value) for value in seen) / len(window) if window else 0.0
    if len(known) < LEAST_BASELINE or len(seen) < LEAST_WINDOW:
        return FeatureReport(None, null_share, strange, expected_nulls)
    measure = _by_quantile if numeric and len(set(known)) > _MOST_CATEGORIES else _by_category
    return FeatureReport(measure(known, seen), null_share, strange, expected_nulls)


def mean(predictions: Sequence[Any]) -> float | None:
    """Return the mean of numeric predictions (of a list its first number); None when there is none."""
    firsts = (found[0] if isinstance(found, list) and found else found for found in predictions)
    numbers = [float(number) for number in firsts if _is_number(number)]
    return math.fsum(numbers) / len(numbers) if numbers else None


def _by_quantile(known: list[Any], seen: list[Any]) -> float:
    bins = max(2, min(MOST_BINS, len(known) // ROWS_PER_BIN))
    ordered = sorted(float(value) for value in known)
    # a value that is very common would be several edges at once
    edges = sorted({ordered[len(ordered) * number // bins] for number in range(1, bins)})
    return psi(_counts(ordered, edges), _counts(seen, edges))


def _counts(values: Sequence[Any], edges: list[float]) -> list[float]:
    # what is no number among numbers has a place of its own, the last
    counts = [0.0] * (len(edges) + 2)
    for value in values:
        counts[bisect_left(edges, float(value)) if _is_number(value) else -1] += 1
    return counts


def _by_category(known: list[Any], seen: list[Any]) -> float:
    expected, actual = Counter(map(str, known)), Counter(map(str, seen))
    # rare ones together: a bin of one row jumps by chance
    kept = [name for name, count in expected.most_common(_MOST_CATEGORIES) if count >= ROWS_PER_BIN / 4]
    rest = (len(known) - sum(expected[name] for name in kept), len(seen) - sum(actual[name] for name in kept))
    return psi([*(expected[name] for name in kept), rest[0]], [*(actual[name] for name in kept), rest[1]])


def _range(known: list[Any]) -> Callable[[Any], bool]:
    lowest, highest = min(map(float, known)), max(map(float, known))
    margin = (highest - lowest) * _MARGIN
    return lambda value: _is_number(value) and lowest - margin <= float(value) <= highest + margin


def _among(known: list[Any]) -> Callable[[Any], bool]:
    names = set(map(str, known))
    # a sample of free text does not list all there can be
    closed = len(names) <= _MOST_CATEGORIES and len(known) >= LEAST_BASELINE
    return lambda value: not closed or str(value) in names


def _present(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None and value == value]  # noqa: PLR0124 - NaN differs from itself


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
