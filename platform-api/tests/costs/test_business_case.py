"""The business case: rules against figures computed by hand, and the page against the computation."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest

from .plans import ROOT


@pytest.fixture(scope="module")
def case() -> ModuleType:
    spec = importlib.util.spec_from_file_location("business_case", ROOT / "docs" / "business" / "business_case.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # dataclasses look up their own module
    sys.modules["business_case"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def inputs(case: ModuleType) -> dict[str, Any]:
    return {name: one["value"] for name, one in case.declared().items()}


def test_the_page_is_what_the_inputs_give(case: ModuleType) -> None:
    assert case.PAGE.read_text() == case.page(), "run `make docs`: business-case.md is out of date"


def test_every_input_says_where_it_comes_from(case: ModuleType) -> None:
    for name, one in case.declared().items():
        assert one["from"], name


def test_net_present_value_counts_each_year_from_its_end(case: ModuleType) -> None:
    # 110 / 1.1 + 121 / 1.21
    assert case.npv(0.10, [110, 121]) == pytest.approx(200)
    assert case.npv(0.0, [-5, 2, 4]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("flows", "rate"),
    [
        # -100 + 110 / 1.1 = 0
        ([-100, 110], 0.10),
        # -100 + 60 / 1.2 + 72 / 1.44 = 0
        ([-100, 60, 72], 0.20),
        # half of what was spent comes back
        ([-100, 50], -0.50),
    ],
)
def test_rate_of_return_makes_the_flows_worth_nothing(case: ModuleType, flows: list[float], rate: float) -> None:
    assert case.irr(flows) == pytest.approx(rate)


@pytest.mark.parametrize("flows", [[1, 2, 3], [-1, -2, -3], [-10, 30, -21], [0, 0, 0], []])
def test_flows_without_one_change_of_sign_have_no_rate_of_return(case: ModuleType, flows: list[float]) -> None:
    assert case.irr(flows) is None


@pytest.mark.parametrize(
    ("flows", "after"),
    # of [-20, 10, 40]: 10 are missing after two years, a quarter of the third year's 40
    [([5, -1], 0.0), ([-10, 10], 2.0), ([-10, 5], None), ([-20, 10, 40], 2.25), ([], None)],
)
def test_payback_is_when_the_sum_is_no_longer_negative(
    case: ModuleType, flows: list[float], after: float | None
) -> None:
    assert case.payback(flows) == (after if after is None else pytest.approx(after))


def test_what_a_year_saves_and_costs(case: ModuleType) -> None:
    one = {
        "scientists": [10],
        "share_using_it": [0.5],
        "hours_saved_per_week": 2,
        "weeks_per_year": 40,
        "cost_of_an_hour": 100,
        "models_to_production": [3],
        "engineer_days_saved_per_model": 10,
        "working_days_per_year": 200,
        "engineers": [1],
        "cost_of_an_engineer": 100_000,
        "onboarding": [7_000],
        "cloud_growth": [2],
    }
    (year,) = case.years(one, 500)
    assert (year.hours, year.models, year.people, year.onboarding, year.cloud) == (
        40_000,
        15_000,
        100_000,
        7_000,
        12_000,
    )
    assert year.flow == -64_000


def test_at_the_least_that_pays_the_case_is_worth_nothing(case: ModuleType, inputs: dict[str, Any]) -> None:
    least = case.least_that_pays("engineer_days_saved_per_model", inputs, 6_000)
    assert case.value({**inputs, "engineer_days_saved_per_model": least}, 6_000) == pytest.approx(0, abs=0.01)


def test_every_input_moves_the_result_and_the_largest_comes_first(case: ModuleType, inputs: dict[str, Any]) -> None:
    rows = case.sensitivity(inputs, 6_000)
    assert {name for name, _, _ in rows} == {*inputs, "cloud bill"} - {*case.CONVERSIONS}
    swings = [abs(less - more) for _, less, more in rows]
    assert swings == sorted(swings, reverse=True)
    assert min(swings) > 0


def test_no_more_than_everybody_uses_it(case: ModuleType, inputs: dict[str, Any]) -> None:
    assert max(case.moved(inputs, "share_using_it", 10)["share_using_it"]) == 1.0
