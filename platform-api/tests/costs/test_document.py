"""The figures in docs/business/costs.md are the ones the estimate gives."""

from decimal import Decimal

from .document import FIRST, PAGE, SMALL, of, written


def test_every_figure_of_the_page_is_computed() -> None:
    assert PAGE.read_text() == written(PAGE.read_text()), "run `python -m tests.costs.document`"


def test_the_lines_of_the_first_estimate_add_to_its_total() -> None:
    assert sum(amount for _, amount, _ in FIRST) == 353


def test_the_smallest_development_environment_is_near_the_first_estimate() -> None:
    assert Decimal(300) < of("dev", SMALL).total < Decimal(400)
