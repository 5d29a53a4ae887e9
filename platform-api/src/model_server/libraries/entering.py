"""The libraries of one model, entered by the process that loads it, once it is confined. Standard library only."""

import site
import sys
from pathlib import Path

from model_server.sandbox.protections import REQUIRED, Sealed

_chosen: list[Path] = []
_readable: list[Path] = []


def choose(folder: Path, *beside: Path) -> None:
    """Say which folder `enter` will add, and what else the process must read. Nothing is imported from it yet."""
    _chosen.append(folder.absolute())
    _readable.extend((folder.absolute(), *(path.absolute() for path in beside)))


def entered() -> str | None:
    """Return the name of the environment whose libraries this process uses, None for the platform's own."""
    return _chosen[0].parent.name if _chosen else None


def places() -> list[Path]:
    """Return what the process must be able to read for them; nothing when it uses the platform's own libraries."""
    return list(_readable)


def enter(sealed: Sealed, mode: str) -> None:
    """Make the chosen folder importable, after the standard library. Its `.pth` files run here, and only here: in the sandbox.

    Raises Refused `not_confined` when a protection is missing that the mode demands; for libraries of a model's own, any
    essential one.
    """
    sealed.demand(REQUIRED if _chosen else mode)
    for folder in _chosen:
        site.addsitedir(str(folder))
    sys.path_importer_cache.clear()
