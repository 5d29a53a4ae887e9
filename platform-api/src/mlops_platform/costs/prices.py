"""The dated price table and the usage profiles, read from YAML files in this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data"


class NoPrice(LookupError):
    """The table has no such price; the message names it."""


class BadTable(ValueError):
    """The file is not a price table or usage file; the message says why."""


@dataclass(frozen=True)
class PriceTable:
    """Prices of one region on one day."""

    region: str
    currency: str
    as_of: date
    source: str
    hours: Decimal
    free: Mapping[str, str]
    entries: Mapping[str, Any]

    def of(self, *path: str) -> Decimal:
        """Return a price. Raises NoPrice."""
        found: Any = self.entries
        for part in path:
            if not isinstance(found, Mapping) or part not in found:
                raise NoPrice(f"the price table of {self.region} has no {' '.join(path)}")
            found = found[part]
        return Decimal(str(found))

    def has(self, *path: str) -> bool:
        """Return whether `of` would answer."""
        found: Any = self.entries
        for part in path:
            if not isinstance(found, Mapping) or part not in found:
                return False
            found = found[part]
        return True

    def eks_support_ends(self, version: str) -> date | None:
        """Return when EKS's standard support of a Kubernetes version ends; None when the table does not know it."""
        ends: date | None = self.entries["eks"]["standard_support_ends"].get(version)
        return ends


@dataclass(frozen=True)
class Usage:
    """What an environment is assumed to use in a month."""

    name: str
    entries: Mapping[str, Any]

    def of(self, name: str) -> Decimal:
        """Return an assumed quantity. Raises NoPrice."""
        if name not in self.entries:
            raise NoPrice(f"the usage profile {self.name} has no {name}")
        return Decimal(str(self.entries[name]))

    def named(self, group: str, resource_name: str) -> Decimal:
        """Return the quantity of the first word of a group that the resource's name contains, else of `other`."""
        words: Mapping[str, Any] = self.entries.get(group) or {}
        for word, quantity in words.items():
            if word != "other" and word in resource_name:
                return Decimal(str(quantity))
        if "other" not in words:
            raise NoPrice(f"the usage profile {self.name} has no {group} for {resource_name}")
        return Decimal(str(words["other"]))


def load_prices(region: str = "us-east-1", folder: Path = DATA) -> PriceTable:
    """Return the price table of a region. Raises BadTable when there is none."""
    file = folder / f"prices-{region}.yaml"
    if not file.exists():
        known = ", ".join(sorted(path.stem.removeprefix("prices-") for path in folder.glob("prices-*.yaml")))
        raise BadTable(f"there is no price table for {region}; there are tables for {known}")
    content = yaml.safe_load(file.read_text())
    return PriceTable(
        region=content["region"],
        currency=content["currency"],
        as_of=content["as_of"],
        source=content["source"],
        hours=Decimal(str(content["hours_per_month"])),
        free=content["free"],
        entries=content,
    )


def load_usage(profile: str, file: Path | None = None) -> Usage:
    """Return a usage profile. Raises BadTable."""
    source = file or DATA / "usage.yaml"
    try:
        profiles = yaml.safe_load(source.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadTable(f"{source.name} cannot be read as YAML") from error
    if not isinstance(profiles, dict) or profile not in profiles:
        known = ", ".join(profiles) if isinstance(profiles, dict) else "nothing"
        raise BadTable(f"{source.name} has no usage profile '{profile}'; it has {known}")
    return Usage(profile, profiles[profile])
