"""The figures in docs/business/costs.md are the ones the estimate gives."""

from decimal import Decimal

from .document import PAGE, SEED, SMALL, of, written


def test_every_figure_of_the_page_is_computed() -> None:
    assert PAGE.read_text() == written(PAGE.read_text()), "run `python -m tests.costs.document`"


def test_the_seeds_own_lines_add_to_what_it_claims() -> None:
    assert sum(amount for _, amount, _ in SEED) == 353


def test_the_smallest_development_environment_is_near_the_seeds_figure() -> None:
    assert Decimal(300) < of("dev", SMALL).total < Decimal(400)
