"""The page about estimators says what is so: each is built, served and compared again."""

import re
from pathlib import Path

import pytest
import sklearn

from .outcome import names, outcome

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "estimators.md"
# a share of all that fit a table
LEAST = 0.95


def _rows() -> dict[str, str]:
    return dict(re.findall(r"^\| (\w+) \| ([^|]+?) \|", PAGE.read_text(), re.MULTILINE)[1:])


def test_the_page_has_every_estimator_and_enough_are_served() -> None:
    assert f"scikit-learn {sklearn.__version__} " in PAGE.read_text(), "run `make estimators`"
    assert _rows().keys() == set(names())
    fitted = [said for said in _rows().values() if said != "does not fit a table"]
    assert sum(said == "served, equal" for said in fitted) / len(fitted) >= LEAST


@pytest.mark.whole("a build for every estimator of scikit-learn")
@pytest.mark.parametrize("name", names())
def test_an_estimator_is_what_the_page_says(name: str, tmp_path: Path) -> None:
    words = {"served": "served, equal", "refused": "refused", "differs": "**differs**", "unfit": "does not fit a table"}
    found = outcome(name, tmp_path)
    assert words[found.state] == _rows()[name], found
