"""The libraries of an environment with their licences, as their own metadata names them. Metadata is text: nothing of it runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from mlops_platform.environment_locks import serving

_CLASSIFIER = "License :: "
# some libraries put the whole text of their licence where its name belongs
_LONGEST = 120


@dataclass(frozen=True)
class Library:
    """One library: its version, and its licence when the metadata names one."""

    version: str
    licence: str | None


Contents = dict[str, Library]


def installed(names: Iterable[str]) -> Contents:
    """Return what these libraries are here, and what they need in turn; what is not here is left out."""
    found: Contents = {}
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        here = None if name in found else _here(name)
        if here is not None:
            found[name] = _library(here)
            waiting += _needed(here)
    return dict(sorted(found.items()))


def unpacked(folder: Path) -> Contents:
    """Return what lies in a folder that wheels were unpacked into."""
    return dict(
        sorted(
            (canonicalize_name(each.name), _library(each)) for each in distributions(path=[str(folder)]) if each.name
        )
    )


def _here(name: str) -> Distribution | None:
    for known in (name, serving.known_here_as(name)):
        try:
            return distribution(known)
        except PackageNotFoundError:
            continue
    return None


def _needed(found: Distribution) -> Iterator[NormalizedName]:
    for line in found.requires or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            # of a library that is installed and works all the same
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _library(found: Distribution) -> Library:
    return Library(found.version, _licence(found))


def _licence(found: Distribution) -> str | None:
    said = found.metadata.get_all
    for field in ("License-Expression", "License"):
        for value in said(field) or []:
            named = " ".join(str(value).split())
            if named and named.upper() != "UNKNOWN" and len(named) <= _LONGEST:
                return named
    classified = [value.rsplit(" :: ", 1)[-1] for value in said("Classifier") or [] if value.startswith(_CLASSIFIER)]
    return "; ".join(classified) or None
