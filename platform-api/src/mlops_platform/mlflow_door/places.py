"""Where a write to the store goes, and whether it may (values in, values out)."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mlops_platform.errors import Conflict
from mlops_platform.mlflow_door.access import PathNotPlain
from mlops_platform.mlflow_door.ownership import DEFAULT

_URI = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")
_STORE = (
    "/api/2.0/mlflow-artifacts/artifacts/",
    "/api/2.0/mlflow-artifacts/mpu/create/",
    "/api/2.0/mlflow-artifacts/mpu/complete/",
    "/api/2.0/mlflow-artifacts/mpu/abort/",
)


class RegisteredBytes(Conflict):
    """The bytes belong to a registered version: they stay as they are."""

    title = "These bytes are a registered version's"

    def __init__(self) -> None:
        super().__init__(
            "What a registered version consists of cannot be overwritten or deleted here. Log a new run and register it; to remove "
            "a version, delete the version itself."
        )


class StillBeingWritten(Conflict):
    """The artifacts of the version are being uploaded at this moment."""

    title = "The artifacts are still being uploaded"

    def __init__(self) -> None:
        super().__init__("Wait until every upload to this run has ended, then register again.")


def place_of(canonical_path: str, tenant: str) -> str | None:
    """Return where below the store's root a request writes; None when it names no place of the store.

    As MLflow does, a path that does not say its workspace is put below the caller's; in the workspace `default` it is not.
    Raises PathNotPlain for what MLflow takes for a URI, whose path it would use instead.
    """
    for prefix in _STORE:
        if canonical_path.startswith(prefix):
            place = canonical_path.removeprefix(prefix).strip("/")
            if _URI.match(place):
                raise PathNotPlain
            return place if tenant == DEFAULT or place.startswith("workspaces/") else f"workspaces/{tenant}/{place}"
    return None


def names_of(place: str) -> list[str]:
    """Return the place, and where it would be in the workspace `default` when it says none.

    Experiments of that workspace lie below it or at the store's root, by whether MLflow knew workspaces when they were made.
    """
    return [place] if place.startswith("workspaces/") else [place, f"workspaces/{DEFAULT}/{place}"]


def and_above(place: str) -> list[str]:
    """Return a place and every folder it is in: a version at any of them holds the place."""
    parts = [part for part in place.split("/") if part not in {"", "."}]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


class Writing:
    """Which places of the store are being written at this moment, in this process."""

    def __init__(self) -> None:
        self._places: Counter[str] = Counter()

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note a write until it has ended."""
        self._places[place] += 1
        try:
            yield
        finally:
            self._places[place] -= 1
            if not self._places[place]:
                del self._places[place]

    def below_any(self, *folders: str) -> bool:
        """Return whether something is being written below a folder of one of these names (a run's or a model's id)."""
        wanted = {folder for folder in folders if folder}
        return any(not wanted.isdisjoint(place.split("/")) for place in self._places)
