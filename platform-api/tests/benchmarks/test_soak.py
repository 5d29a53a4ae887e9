"""What the soak calls flat, and what it does not."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Missed = Callable[..., list[str]]


@pytest.fixture
def missed(module: Callable[[str], ModuleType]) -> Missed:
    """Return what of memory (MB) and descriptors is not flat."""
    soak = module("soak")

    def found(memory: list[float], descriptors: Callable[[int], int] = lambda _: 50) -> list[str]:
        looks: list[Any] = [soak.Look(each, descriptors(number), 3) for number, each in enumerate(memory)]
        return [line.what for line in soak.verdict("api", looks) if line.bar and not line.bar.met]

    return found


def test_what_is_filled_once_is_flat(missed: Missed) -> None:
    assert missed([200, 300, *[400] * 18]) == []


def test_what_grows_for_ever_is_not(missed: Missed) -> None:
    assert missed([300 + 5.0 * number for number in range(40)]) == ["api, memory, late / early"]


def test_descriptors_that_leak_are_seen(missed: Missed) -> None:
    assert missed([300.0] * 40, lambda number: 50 + number) == ["api, descriptors, late / early"]


def test_noise_is_no_growth(missed: Missed) -> None:
    assert missed([300.0 + number * 37 % 11 for number in range(40)]) == []
