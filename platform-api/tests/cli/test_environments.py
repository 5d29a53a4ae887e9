"""`mlops environments`: what is installed, whose bundles name it, and what may go."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source

from ..support.wheels import index, wheel
from .conftest import Ran

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def names(home: Path, tmp_path: Path) -> list[str]:
    """Two environments; a bundle names the first."""
    for name in ("alpha", "beta"):
        wheel(tmp_path / "wheels", name, "1.0", {f"{name}.py": "VALUE = 1\n"})
    source = Source(tmp_path / "cache", SecretStr(index(tmp_path / "simple", tmp_path / "wheels")))
    store = UvEnvironments(home / "environments", source)
    locks = [store.lock([name], _PYTHON) for name in ("alpha", "beta")]
    for lock in locks:
        store.provide(lock)
    _bundle(home, "b", {"libraries": locks[0].name, "model_name": "churn", "model_version": 3})
    _bundle(home, "c", {"libraries": None, "model_name": "risk", "model_version": 1})
    return [lock.name for lock in locks]


def _bundle(home: Path, name: str, said: Any) -> Path:
    folder = home / "bundles" / name
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text(said if isinstance(said, str) else json.dumps(said))
    return folder


def test_each_is_listed_with_who_uses_it_and_shown_with_its_libraries(
    mlops: Callable[..., Ran], home: Path, names: list[str]
) -> None:
    listed = mlops("environments", "list", "--home", str(home), "--json").json["items"]
    assert {item["name"]: item["used_by"] for item in listed} == {names[0]: ["churn:3"], names[1]: []}
    table = mlops("environments", "list", "--home", str(home)).out
    assert names[0][:12] in table
    assert "nobody" in table
    shown = mlops("environments", "show", names[0][:10], "--home", str(home), "--json").json
    assert [library["name"] for library in shown["libraries"]] == ["alpha"]
    assert "alpha" in mlops("environments", "show", names[0], "--home", str(home)).out


def test_a_name_that_is_none_or_several_is_said(mlops: Callable[..., Ran], home: Path, names: list[str]) -> None:
    assert "no environment begins" in mlops("environments", "show", "zz", "--home", str(home)).err
    assert "2 environments begin" in mlops("environments", "show", "", "--home", str(home)).err


def test_only_what_no_bundle_names_is_removed(mlops: Callable[..., Ran], home: Path, names: list[str]) -> None:
    prune = ("environments", "prune", "--home", str(home), "--json")
    assert mlops(*prune).json == {"removed": []}, "it was wanted a moment ago"
    assert mlops(*prune, "--older-than-hours", "0").json == {"removed": [names[1]]}
    assert (home / "environments" / names[0]).is_dir()


def test_a_bundle_that_cannot_be_read_keeps_every_environment(
    mlops: Callable[..., Ran], home: Path, names: list[str]
) -> None:
    _bundle(home, "d", "{")
    ran = mlops("environments", "prune", "--older-than-hours", "0", "--home", str(home))
    assert ran.code == 1
    assert "d cannot be read" in ran.err
    assert all((home / "environments" / name).is_dir() for name in names)


def test_without_any_the_list_says_so(mlops: Callable[..., Ran], home: Path) -> None:
    assert "no model has libraries of its own" in mlops("environments", "list", "--home", str(home)).out
