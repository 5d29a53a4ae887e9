"""How much of its quota a tenant uses, and when that is worth a word. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

WARN_ABOVE = Decimal("0.8")

_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")
_SUFFIXES: dict[str, Decimal] = {"": Decimal(1), "m": Decimal("0.001")}
_SUFFIXES |= {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTP", 1)}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTP", 1)}


class BadQuantity(ValueError):
    """The text is not a Kubernetes quantity."""


@dataclass(frozen=True)
class QuotaStatus:
    """What a ResourceQuota reports: hard limits and what is used of them, as Kubernetes writes them."""

    namespace: str
    name: str
    hard: Mapping[str, str]
    used: Mapping[str, str]


@dataclass(frozen=True)
class Use:
    """One resource of one namespace. `share` is None where nothing is allowed at all."""

    namespace: str
    resource: str
    used: str
    hard: str
    share: Decimal | None

    @property
    def warns(self) -> bool:
        """Whether somebody should know."""
        return self.share is not None and self.share > WARN_ABOVE


def quantity(text: str) -> Decimal:
    """Return a Kubernetes quantity as a number. Raises BadQuantity."""
    found = _QUANTITY.match(text)
    if not found:
        raise BadQuantity(f"'{text}' is not a quantity")
    return Decimal(found.group(1)) * _SUFFIXES[found.group(2) or ""]


def uses(statuses: Iterable[QuotaStatus]) -> list[Use]:
    """Return every resource of every quota, the fullest first."""
    found = [
        Use(
            status.namespace,
            resource,
            status.used.get(resource, "0"),
            hard,
            _share(status.used.get(resource, "0"), hard),
        )
        for status in statuses
        for resource, hard in status.hard.items()
    ]
    return sorted(found, key=lambda use: (-(use.share or Decimal(0)), use.namespace, use.resource))


def _share(used: str, hard: str) -> Decimal | None:
    most = quantity(hard)
    return quantity(used) / most if most else None
