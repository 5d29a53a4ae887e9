"""What a model's own environment needs beside what the model names, and when the platform's own will do. Pure."""

import re
from collections.abc import Callable, Iterable

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

# what `model_server` imports to answer, as loose as it was tried
ANSWERS = (
    "anyio>=4",
    "cryptography>=42",
    "httptools>=0.6",
    "msgspec>=0.18.6",
    "numpy>=1.23",
    "orjson>=3.9",
    "pandas>=1.5",
    "prometheus-client>=0.20",
    "pyyaml>=6",
    "uvicorn>=0.30",
    "uvloop>=0.19",
)
# to compile it and to explain it; a model whose versions rule these out is served without
COMPILES = ("onnx>=1.15", "onnxruntime>=1.17", "skl2onnx>=1.16")
EXPLAINS = ("shap>=0.44", "numba>=0.59")
# the client alone: what MLflow's server needs serves nothing
_MLFLOW = "mlflow-skinny"
# the same library under another name here: the build without CUDA
_HERE = {"xgboost": "xgboost-cpu"}
# serves nothing, or is another one's business: its version changes no answer
_OF_NO_MATTER = frozenset({"mlflow", "mlflow-skinny", "cloudpickle", "onnx", "pip", "setuptools", "wheel"})
Installed = Callable[[str], str | None]


def known_here_as(name: str) -> str:
    """Return the name under which the platform has a library."""
    return _HERE.get(name, name)


def wanted(requirements: Iterable[Requirement], *, loads_by_mlflow: bool) -> list[str]:
    """Return the model's requirements as they are resolved: MLflow by its client, and only for models that it loads."""
    found = []
    for each in requirements:
        name = canonicalize_name(each.name)
        if name not in ("mlflow", _MLFLOW):
            extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
            found.append(f"{name}{extras}{each.specifier}")
        elif loads_by_mlflow:
            found.append(f"{_MLFLOW}{each.specifier}")
    if loads_by_mlflow and not any(line.startswith(_MLFLOW) for line in found):
        found.append(f"{_MLFLOW}>=2.9")
    return sorted(found)


def differences(requirements: Iterable[Requirement], installed: Installed) -> list[str]:
    """Return why the platform's own environment will not do, a clause for each library; nothing when it will.

    Another patch of the same minor version will do, as libraries promise for their fixes.
    """
    return [why for each in requirements if (why := _difference(each, installed)) is not None]


def _difference(requirement: Requirement, installed: Installed) -> str | None:
    name = canonicalize_name(requirement.name)
    if name in _OF_NO_MATTER:
        return None
    here = installed(name) or installed(known_here_as(name))
    asked = f"{name} {requirement.specifier}".replace("==", "").strip()
    if here is None:
        return f"{asked}, which the platform does not have"
    if _fits(requirement.specifier, here):
        return None
    return f"{asked}, where the platform has {here}"


def _fits(specifier: SpecifierSet, here: str) -> bool:
    if specifier.contains(here, prereleases=True):
        return True
    pins = [each.version for each in specifier if each.operator in ("==", "===")]
    return len(pins) == 1 and len(list(specifier)) == 1 and _minor(pins[0]) == _minor(here)


def _minor(version: str) -> tuple[int, ...] | str:
    try:
        return Version(re.sub(r"\.\*$", "", version)).release[:2]
    except InvalidVersion:
        return version
