"""What changed between the libraries of two versions of a model. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One library: the version before and now; None where it is missing."""

    library: str
    before: str | None
    now: str | None


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    """Return what differs, by the library's name."""
    names = sorted(before.keys() | now.keys())
    return [Change(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]
