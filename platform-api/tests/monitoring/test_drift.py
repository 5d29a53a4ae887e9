"""Drift is measured, chance is not: the index against its definition, and what a window is compared by."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.monitoring.drift import LEAST_WINDOW, compare, compare_feature, mean, psi

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=12)


def _normal(count: int, seed: int, centre: float = 0.0, width: float = 1.0) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(centre, width) for _ in range(count)]


@given(COUNTS)
def test_equal_counts_have_no_drift(counts: list[int]) -> None:
    assert psi(counts, counts) == 0


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12))
def test_the_index_is_never_negative_finite_and_the_same_from_both_sides(pairs: list[tuple[int, int]]) -> None:
    expected, actual = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = psi(expected, actual)
    assert found >= 0
    assert math.isfinite(found)
    assert found == pytest.approx(psi(actual, expected))


def test_the_index_is_the_textbook_sum() -> None:
    # shares 0.2 0.3 0.5 against 0.4 0.4 0.2, so many rows that the half row added per bin does not matter
    found = psi([200_000, 300_000, 500_000], [400_000, 400_000, 200_000])
    by_hand = 0.2 * math.log(2) + 0.1 * math.log(4 / 3) + (-0.3) * math.log(0.4)
    assert found == pytest.approx(by_hand, abs=1e-4)


def test_counts_of_different_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="same bins"):
        psi([1, 2], [1, 2, 3])


@pytest.mark.parametrize("rows", [40, 100, 1_000])
def test_the_same_population_stays_below_the_alert_whatever_the_size_of_the_sample(rows: int) -> None:
    found = [compare_feature(_normal(rows, seed), _normal(2_000, seed + 1_000)).psi for seed in range(30)]
    assert all(index is not None for index in found)
    alarms = sum(index is not None and index > 0.2 for index in found)
    assert alarms <= 1, f"chance looked like drift in {alarms} of 30 cases: {found}"


@pytest.mark.parametrize("rows", [40, 100, 1_000])
@pytest.mark.parametrize(("centre", "width"), [(2.0, 1.0), (-2.0, 1.0)])
def test_a_shifted_population_is_above_it(rows: int, centre: float, width: float) -> None:
    found = compare_feature(_normal(rows, 1), _normal(2_000, 2, centre, width)).psi
    assert found is not None
    assert found > 0.2


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(source: random.Random) -> None:
    sample, window = _normal(100, 1), _normal(200, 2, 0.5)
    before = compare_feature(sample, window)
    source.shuffle(sample)
    source.shuffle(window)
    assert compare_feature(sample, window) == before


def test_categories_are_compared_by_name_and_unknown_ones_are_out_of_range() -> None:
    sample = ["red"] * 50 + ["blue"] * 50
    same = compare_feature(sample, ["red", "blue"] * 50)
    assert same.psi == pytest.approx(0, abs=0.01)
    other = compare_feature(sample, ["red"] * 50 + ["green"] * 50)
    assert other.psi is not None
    assert other.psi > 0.2
    assert other.out_of_range_share == 0.5


def test_nulls_count_against_quality_only_as_far_as_the_sample_had_none() -> None:
    sample, window = [1.0, 2.0, 3.0, 4.0] * 10, [1.0, None, 3.0, math.nan] * 25
    strict = compare({"age": sample}, {"age": window})
    assert strict.features["age"].null_share == 0.5
    assert strict.quality == 0.5
    forgiving = compare({"age": [*sample, *([None] * 40)]}, {"age": window})
    assert forgiving.quality == 1.0


def test_numbers_far_outside_the_sample_count_against_quality() -> None:
    report = compare({"age": _normal(100, 1)}, {"age": [0.0] * 75 + [1e9] * 25})
    assert report.features["age"].out_of_range_share == 0.25
    assert report.quality == 0.75
    # text among numbers is no number, and no defect of the measuring
    assert compare_feature(_normal(100, 1), ["x"] * 100).out_of_range_share == 1.0


def test_too_few_rows_say_nothing() -> None:
    assert compare_feature(_normal(100, 1), _normal(LEAST_WINDOW - 1, 2)).psi is None
    assert compare_feature(_normal(19, 1), _normal(1_000, 2)).psi is None
    assert compare({}, {"age": [1.0]}).quality == 1.0


def test_features_of_one_side_only_are_left_out() -> None:
    assert set(compare({"a": [1.0], "b": [1.0]}, {"b": [1.0], "c": [1.0]}).features) == {"b"}


def test_the_mean_of_predictions_skips_what_is_no_number() -> None:
    assert mean([0.2, 0.4, "label", None, math.nan]) == pytest.approx(0.3)
    assert mean([[0.2, 0.8], [0.4, 0.6]]) == pytest.approx(0.3)
    assert mean(["label"]) is None
