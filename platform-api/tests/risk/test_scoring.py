"""Risk scores: bands, floors and the meaning of a missing tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.policy.definition import RISK_LEVELS
from mlops_platform.risk.scoring import (
    SIX_FACTORS,
    TEN_QUESTIONS,
    IncompleteAnswers,
    Profile,
    assess,
    declared_level,
)

answers = st.fixed_dictionaries({name: st.integers(0, 5) for name in TEN_QUESTIONS})
factors = st.fixed_dictionaries({name: st.integers(1, 5) for name in SIX_FACTORS})


def spread(total: int) -> dict[str, int]:
    """Answers of that sum that touch no floor, as far as that goes."""
    names = [name for name in TEN_QUESTIONS if name not in {"data_sensitivity", "regulation", "cost_of_failure"}]
    found = dict.fromkeys(TEN_QUESTIONS, 0)
    for name in names:
        found[name] = min(5, total)
        total -= found[name]
    return found


@pytest.mark.parametrize(("score", "level"), [(0, "low"), (15, "low"), (16, "medium"), (30, "medium"), (31, "high")])
def test_bands_of_the_ten_questions(score: int, level: str) -> None:
    assessment = assess(spread(score))
    assert (assessment.score, assessment.level) == (score, level)


@given(answers, st.sampled_from(sorted(TEN_QUESTIONS)))
def test_a_worse_answer_never_lowers_the_level(given_: dict[str, int], name: str) -> None:
    worse = {**given_, name: min(5, given_[name] + 1)}
    assert RISK_LEVELS.index(assess(worse).level) >= RISK_LEVELS.index(assess(given_).level)


@given(answers)
def test_floors_hold_whatever_the_score(given_: dict[str, int]) -> None:
    level = assess(given_).level
    if given_["data_sensitivity"] == 3:
        assert level != "low", "personal data"
    if given_["data_sensitivity"] >= 4 or given_["regulation"] >= 4 or given_["cost_of_failure"] == 5:
        assert level == "high"


@given(factors)
def test_the_six_factor_scheme_keeps_its_bands_and_the_floors(given_: dict[str, int]) -> None:
    assessment = assess(given_, Profile.SIX_FACTORS)
    band = "low" if assessment.score <= 12 else "medium" if assessment.score <= 22 else "high"
    assert 6 <= assessment.score <= 30
    assert RISK_LEVELS.index(assessment.level) >= RISK_LEVELS.index(band)  # type: ignore[arg-type]
    assert assessment.reasons


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"regulation": 6}, "'regulation' must be 0 to 5, not 6"),
        ({"regulation": -1}, "'regulation' must be 0 to 5, not -1"),
        ({"weather": 1}, "'weather' is not a question"),
    ],
)
def test_answers_that_do_not_fit_are_named(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(IncompleteAnswers, match=sentence):
        assess({**spread(3), **change})
    incomplete = spread(3)
    del incomplete["regulation"]
    with pytest.raises(IncompleteAnswers, match="'regulation' is not answered"):
        assess(incomplete)


@pytest.mark.parametrize(
    ("version", "model", "level", "warned"),
    [
        ({"risk_level": "HIGH "}, {"risk_level": "low"}, "high", False),
        ({}, {"risk_level": "low"}, "low", False),
        ({}, {}, "medium", True),
        ({"risk_level": "negligible"}, {"risk_level": "low"}, "medium", True),
        ({"risk_level": ""}, {}, "medium", True),
    ],
)
def test_declared_level_and_what_is_missing(
    version: dict[str, str], model: dict[str, str], level: str, warned: bool
) -> None:
    found, warning = declared_level(version, model)
    assert (found, warning is not None) == (level, warned)
