"""Decides which libraries a model is loaded in, and has them installed; called by builds, never while a request waits."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from packaging.requirements import Requirement

from mlops_platform.environment_locks import serving
from mlops_platform.environment_locks.contents import Contents, installed
from mlops_platform.environment_locks.interfaces import (
    LOCK,
    EnvironmentStore,
    EnvironmentUnavailable,
    NoInterpreter,
    Unresolvable,
)
from mlops_platform.environment_locks.lock import Lock, read
from mlops_platform.environment_locks.requirements import Asked, NotAllowed, applying, asked_by
from model_server.digests import plain_files
from model_server.formats.artifact import chosen, described
from model_server.formats.flavours import PYFUNC
from model_server.refusals import Refused

_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_SHOWN = 6
# what is given up in turn when a model's versions rule it out
_TIERS = (
    (serving.COMPILES + serving.EXPLAINS, ""),
    (serving.EXPLAINS, "; its versions leave no room for what compiles a model"),
    ((), "; its versions leave no room for what compiles or explains a model"),
)


@dataclass(frozen=True)
class Prepared:
    """What a model is loaded in: its own lock, or None for the platform's libraries; and the step of the report that says so."""

    step: dict[str, Any]
    lock: Lock | None = None

    @property
    def refusal(self) -> str | None:
        """Why the model is refused, None when it is not."""
        return str(self.step["detail"]) if self.step["status"] == "failed" else None


@dataclass
class _Told:
    began: float = field(default_factory=time.monotonic)

    def step(self, status: str, detail: str, **facts: Any) -> dict[str, Any]:
        seconds = round(time.monotonic() - self.began, 4)
        return {
            "name": "environment",
            "status": status,
            "detail": detail,
            "seconds": seconds,
            "measured_by": "platform",
            **facts,
        }


def prepare(store: EnvironmentStore, source: Path) -> Prepared:
    """Return what this model is loaded in, installed. Blocks: seconds when nothing of it is in the cache.

    Raises EnvironmentUnavailable.
    """
    told = _Told()
    try:
        # before anything is opened: who opens a pipe waits for ever
        plain_files(source)
        content = described(source)
        flavour = None if content is None else chosen(content)
    except Refused as refusal:
        # the build is about to say so itself
        return Prepared(told.step("skipped", refusal.sentence, kind="platform"))
    by_mlflow = flavour is not None and flavour.name == PYFUNC
    try:
        asked = asked_by(source)
        python = asked.python or _HERE
        requirements = applying(asked, python)
        if asked.source is None:
            sentence = "the platform's own libraries: the model names none"
            return Prepared(told.step("passed", sentence, **_platforms(())))
        why = serving.differences(requirements, _installed)
        if flavour is not None and flavour.code == "declared" and python != _HERE:
            why.append(f"Python {python}, where the platform has {_HERE}, and it brings code of its own")
        if not why:
            sentence = f"the platform's own libraries: they are those that {asked.source} names"
            return Prepared(told.step("passed", sentence, **_platforms(each.name for each in requirements)))
        reason = f"{'; '.join(why[:_SHOWN])}{' …' if len(why) > _SHOWN else ''}"
        return _own(store, told, asked, serving.wanted(requirements, loads_by_mlflow=by_mlflow), python, reason)
    except (NotAllowed, Unresolvable, NoInterpreter) as refused:
        return Prepared(told.step("failed", str(refused)))


def by_setting() -> Prepared:
    """Return that no model has libraries of its own, because the platform's operator wants it so."""
    sentence = "the platform's own libraries, for every model (MLOPS_ENVIRONMENTS=platform)"
    return Prepared(_Told().step("skipped", sentence, **_platforms(())))


def lock_of(bundle: Path) -> Lock | None:
    """Return the lock that is kept with a bundle, None when it is served by the platform's libraries. Raises OSError, ValueError."""
    path = bundle / LOCK
    return read(path.read_bytes()) if path.is_file() else None


def provide_again(store: EnvironmentStore, bundle: Path) -> bool:
    """Install what a bundle is served in, from the lock that is kept with it, when it is gone; return whether it was.

    The bundle's signature was verified before. Blocks. Raises EnvironmentUnavailable.
    """
    try:
        lock = lock_of(bundle)
        return lock is not None and store.provide(lock)
    except (OSError, ValueError, NoInterpreter, Unresolvable) as error:
        raise EnvironmentUnavailable(f"The libraries of {bundle.name} cannot be installed again: {error}") from error


def _own(store: EnvironmentStore, told: _Told, asked: Asked, wanted: list[str], python: str, reason: str) -> Prepared:
    lock, without = _locked(store, wanted, python)
    made = store.provide(lock)
    count = len(lock.packages)
    sentence = (
        f"libraries of its own, as {asked.source} names them: {reason}. {count} packages, environment {lock.name[:12]}, "
        f"{'installed now' if made else 'known already'}{without}"
    )
    facts = {"kind": "own", "environment": lock.name, "python": lock.python, "made": made}
    found = store.contents(lock.name)
    return Prepared(told.step("warning" if without else "passed", sentence, **facts, **_materials(found)), lock)


def _platforms(named: Iterable[str]) -> dict[str, Any]:
    """Return what of the platform's libraries a model is loaded in: what serves it, and what it names, with what these need."""
    served = [Requirement(line).name for line in (*serving.ANSWERS, *serving.COMPILES, *serving.EXPLAINS)]
    return {"kind": "platform", "python": python_version(), **_materials(installed([*served, *named]))}


def _materials(found: Contents) -> dict[str, Any]:
    return {
        "packages": {name: each.version for name, each in found.items()},
        "licences": {name: each.licence for name, each in found.items()},
    }


def _locked(store: EnvironmentStore, wanted: list[str], python: str) -> tuple[Lock, str]:
    first: Unresolvable | None = None
    for more, without in _TIERS:
        try:
            return store.lock([*wanted, *serving.ANSWERS, *more], python), without
        except Unresolvable as refused:
            first = first or refused
            last = refused
    # the last asks for the least: what it names is the model's own
    raise last from first


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
