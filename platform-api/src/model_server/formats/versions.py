"""The libraries a model was logged with, against those it is loaded by here: a difference is told, and refuses nothing."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from model_server.formats.artifact import Artifact, described
from model_server.libraries.found import Libraries, versions

_PINNED = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?\s*==\s*([0-9][^\s;,]*)")
_NAMED = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# under these names the flavours of an MLmodel note a version
_NOTED = {
    "sklearn_version": "scikit-learn",
    "xgb_version": "xgboost",
    "lgb_version": "lightgbm",
    "catboost_version": "catboost",
    "statsmodels_version": "statsmodels",
    "onnx_version": "onnx",
    "cloudpickle_version": "cloudpickle",
}
# the same library under another name here: the build without CUDA
_HERE = {"xgboost": "xgboost-cpu"}
# what serves nothing: its version changes no answer
_OF_NO_MATTER = frozenset({"mlflow", "mlflow-skinny", "cloudpickle", "onnx", "pip", "setuptools"})
_LONGEST = 1 << 20


def logged_with(artifact: Artifact) -> dict[str, str | None]:
    """Return library -> version the model was logged with, None where only the name was noted."""
    found: dict[str, str | None] = {}
    listed = artifact.root / "requirements.txt"
    if listed.is_file() and listed.stat().st_size < _LONGEST:
        for line in listed.read_text("utf-8", "replace").splitlines():
            if pinned := _PINNED.match(line):
                found[_canonical(pinned[1])] = pinned[3]
            elif named := _NAMED.match(line):
                found.setdefault(_canonical(named[1]), None)
    content = described(artifact.root) or {}
    for options in content.get("flavors", {}).values():
        for key, library in _NOTED.items():
            if isinstance(options, dict) and options.get(key):
                found[library] = str(options[key])
    return found


def differences(logged: dict[str, str | None], here: dict[str, str | None]) -> list[str]:
    """Return a sentence for each library whose major or minor version differs here, or that is missing here."""
    return [
        told
        for library, was in sorted(logged.items())
        if library not in _OF_NO_MATTER and (told := _told(library, was, here.get(library)))
    ]


def loaded_by(logged: dict[str, str | None], own: dict[str, str] | None) -> dict[str, str | None]:
    """Return the versions that load it: the platform's, or those of its own environment."""
    if own is None:
        return {library: _here(library) for library in sorted(logged)}
    there = Libraries(own["name"], Path(own["folder"]), own["interpreter"])
    return versions(there, sorted(logged))


def _told(library: str, was: str | None, here: str | None) -> str | None:
    if here is None:
        return f"logged with {library} {was or ''}".rstrip() + ", which is not in the environment that loads it"
    if was is not None and _minor(was) != _minor(here):
        return f"logged with {library} {was}, loaded by {here}"
    return None


def _here(library: str) -> str | None:
    for name in (library, _HERE.get(library)):
        if name is None:
            continue
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _minor(text: str) -> tuple[str, ...]:
    return tuple(text.split("+", maxsplit=1)[0].split(".")[:2])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
