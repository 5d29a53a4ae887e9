"""Models that are trained, logged and asked by a script in an environment of old libraries: what they must go on answering."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.environment_locks import serving
from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable
from model_server.libraries.found import find

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_SCRIPT = Path(__file__).with_name("training.py")


@dataclass(frozen=True)
class Trained:
    """A logged model, and what it answered where it was trained: probabilities (or values) of `rows`."""

    artifact: Path
    columns: list[str]
    rows: list[list[Any]]
    answers: list[float]


def train(store: UvEnvironments, kind: str, pins: list[str], folder: Path) -> Trained:
    """Train in an environment of exactly these versions: the one a model that names them gets, so that each is made once."""
    more = (*serving.ANSWERS, *serving.COMPILES, *serving.EXPLAINS)
    try:
        lock = store.lock([*serving.wanted(map(Requirement, pins), loads_by_mlflow=False), *more], _PYTHON)
        store.provide(lock)
    except EnvironmentUnavailable as away:
        pytest.skip(f"not run: no package index is reachable ({away.detail})")
    libraries = find(store.root, lock.name)
    command = [libraries.interpreter, "-I", str(_SCRIPT), str(libraries.folder), kind, str(folder), *pins]
    subprocess.run(command, check=True, timeout=300)
    said = json.loads((folder / "answers.json").read_text())
    return Trained(folder / "model", said["columns"], said["rows"], said["answers"])
