"""Where the demo lives in a feature repository, what it made there, and whether it may be there at all.

The demo's files lie in a folder of their own, `demo`, with a marker that is written before anything else is made and
says what the demo made. Beside that it uses what the platform makes for everybody: `feature_store.yaml`, the registry and
the online store, to which it adds one entity and one view. Where anybody else made anything, the demo is left out.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_platform.local import feature_project

FOLDER = "demo"
MARKER = "prepared.json"
EVENTS = "purchases.parquet"
HISTORY = "customer_features.parquet"
_LOCK = ".prepare.lock"
# demos up to commit 5915d22 named the project so, and lay beside the registry
_BEFORE = feature_project.EMPTY.replace("project: features", "project: churn")
_BEFORE_FOLDER = "data"
# what the platform, Feast and SQLite leave where nobody applied anything
_PLATFORMS = frozenset({feature_project.NAME, "feature_store.new", "data", FOLDER})
_PLATFORMS_DATA = frozenset(
    {"registry.db", ".registry.db.lock", ".registry.db.new", "online.db", "online.db-journal", "online.db-wal"}
    | {"online.db-shm"}
)


@dataclass(frozen=True)
class Marker:
    """What the demo says of itself: up to when its features are made (None while the first are), and whether all is done."""

    end: datetime | None
    complete: bool


class NotOurs(Exception):
    """The repository holds what the demo did not make; the text says what."""


def find(repo: Path) -> Path:
    """Return the folder the demo has, or may make, in a repository. Raises NotOurs. Changes nothing."""
    file = repo / feature_project.NAME
    text = file.read_text(errors="replace") if file.exists() else None
    if text not in {None, feature_project.EMPTY, _BEFORE}:
        raise NotOurs(f"{file} is not the one the platform writes")
    if (repo / FOLDER / MARKER).exists():
        return repo / FOLDER
    if text == _BEFORE and (repo / _BEFORE_FOLDER / MARKER).exists():
        return repo / _BEFORE_FOLDER
    for stranger in _strangers(repo, before=text == _BEFORE):
        raise NotOurs(f"{stranger} was not made by it")
    return repo / FOLDER


def has(repo: Path) -> Path | None:
    """Return the folder of the demo when there is one, whoever else is in the repository."""
    return next((repo / name for name in (FOLDER, _BEFORE_FOLDER) if (repo / name / MARKER).exists()), None)


def _strangers(repo: Path, *, before: bool) -> Iterator[Path]:
    expected = {
        repo: _PLATFORMS,
        repo / "data": _PLATFORMS_DATA | ({EVENTS, HISTORY} if before else set()),
        repo / FOLDER: frozenset({_LOCK, f".{MARKER}.new"}),
    }
    for folder, names in expected.items():
        if folder.exists():
            yield from sorted(path for path in folder.iterdir() if path.name not in names)


def read(place: Path) -> Marker | None:
    """Return the marker of a demo's folder, None when there is none."""
    try:
        body = json.loads((place / MARKER).read_text())
    except FileNotFoundError:
        return None
    end = body.get("end")
    return Marker(datetime.fromisoformat(end) if end else None, body.get("state", "prepared") == "prepared")


def write(place: Path, marker: Marker) -> None:
    """Replace the marker at once."""
    body = {
        "state": "prepared" if marker.complete else "preparing",
        "end": marker.end.isoformat() if marker.end else None,
        "made": {"files": [EVENTS, HISTORY], "entity": "customer", "view": "customer_features"},
    }
    with replacing(place / MARKER) as fresh:
        fresh.write_text(json.dumps(body, indent=1))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write beside `path`; it takes the place of `path` at once, or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    yield fresh
    with fresh.open("rb") as stream:
        os.fsync(stream.fileno())
    fresh.replace(path)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Be the only one who prepares the demo; another waits."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
