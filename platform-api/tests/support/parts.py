"""Parts of a platform that are quick: a registry of files whose versions are built already, and a runtime that obeys at once.

They live in a folder, so that several processes share them. Database, audit log, signatures and data plane are the real ones.
"""

import fcntl
import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.builds.bundles import bundle_folder
from mlops_platform.builds.interfaces import BundleSigner
from mlops_platform.deployments.interfaces import Observed, Placement, RevisionSpec, Routing, ServingRuntime
from mlops_platform.kit.clock import now
from mlops_platform.kit.digests import tree_digest
from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry, RegisteredModel, RegisteredVersion
from mlops_platform.rollouts.interfaces import Signals
from mlops_platform.rollouts.rollout import Signal


class FileRegistry(ModelRegistry):
    """Models in one JSON file. What is registered is built: the prepared bundle lies where a build would put it."""

    def __init__(self, folder: Path, bundles: Path, prepared: Path, signer: BundleSigner) -> None:
        self._folder, self._bundles, self._prepared, self._signer = folder, bundles, prepared, signer
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _models(self) -> Iterator[dict[str, Any]]:
        path = self._folder / "models.json"
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            models = json.loads(path.read_text()) if path.exists() else {}
            yield models
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(models))
            fresh.replace(path)

    async def ping(self) -> None:
        return

    async def get_model(self, name: str) -> RegisteredModel:
        with self._models() as models:
            return _model(name, _found(models, name))

    async def get_version(self, name: str, version: int | None) -> RegisteredVersion:
        with self._models() as models:
            versions = _found(models, name)["versions"]
            number = version or max(map(int, versions), default=0)
            return _version(name, number, _found(versions, str(number)))

    async def version_of_alias(self, name: str, alias: str) -> int:
        with self._models() as models:
            return int(_found(_found(models, name).get("aliases", {}), alias))

    async def changed_models(self, since: datetime | None) -> list[RegisteredModel]:
        with self._models() as models:
            return [_model(name, model) for name, model in models.items()]

    async def changed_versions(self, since: datetime | None) -> list[RegisteredVersion]:
        with self._models() as models:
            return [
                _version(name, int(number), version)
                for name, model in models.items()
                for number, version in model["versions"].items()
            ]

    async def register(
        self,
        name: str,
        model_uri: str,
        *,
        tenant: str,
        tags: dict[str, str],
        description: str,
        model_tags: dict[str, str],
    ) -> RegisteredVersion:
        with self._models() as models:
            model = models.setdefault(
                name, {"tags": model_tags, "tenant": tenant, "at": now().isoformat(), "versions": {}}
            )
            number = max(map(int, model["versions"]), default=0) + 1
            source = self._artifacts(name, number)
            source.mkdir(parents=True)
            (source / "model.txt").write_text(f"{name}:{number}")
            digest = tree_digest(source)
            place = bundle_folder(self._bundles, digest, name, number)
            if not place.exists():
                fresh = place.with_name(f".{place.name}")
                shutil.copytree(self._prepared, fresh, dirs_exist_ok=True)
                described = json.loads((fresh / "bundle.json").read_text())
                (fresh / "bundle.json").write_text(json.dumps({**described, "digest": digest}))
                await self._signer.sign(fresh)
                fresh.rename(place)
            model["versions"][str(number)] = {"tags": tags, "at": now().isoformat(), "source": str(source)}
            return _version(name, number, model["versions"][str(number)])

    async def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        with self._models() as models:
            _found(_found(models, name)["versions"], str(version))["tags"][key] = value

    async def delete_version(self, name: str, version: int) -> None:
        with self._models() as models:
            models.get(name, {"versions": {}})["versions"].pop(str(version), None)

    async def delete_model(self, name: str) -> None:
        with self._models() as models:
            models.pop(name, None)

    async def download(self, name: str, version: int, into: Path) -> Path:
        return Path(shutil.copytree(self._artifacts(name, version), into, dirs_exist_ok=True))

    async def description(self, model_uri: str, *, tenant: str) -> bytes | None:
        # what is registered here is built already
        return None

    async def training_sample(self, name: str, version: int, into: Path) -> Path | None:
        return None

    def _artifacts(self, name: str, version: int) -> Path:
        return self._folder / "artifacts" / name / str(version)


def _found(entries: dict[str, Any], key: str) -> Any:
    if key not in entries:
        raise NotInRegistry(f"there is no '{key}'")
    return entries[key]


def _model(name: str, model: dict[str, Any]) -> RegisteredModel:
    at = datetime.fromisoformat(model["at"])
    return RegisteredModel(name, "", model["tags"], at, at, model.get("tenant", "default"))


def _version(name: str, number: int, version: dict[str, Any]) -> RegisteredVersion:
    at = datetime.fromisoformat(version["at"])
    # traceable, so that the automatic checks pass
    lineage = {"run_id": "run", "code": "train.py", "training_dataset_uri": "s3://data/training"}
    return RegisteredVersion(
        name=name,
        version=number,
        run_id="run",
        source=version["source"],
        status="READY",
        description="",
        tags=version["tags"],
        created_at=at,
        updated_at=at,
        metrics={"accuracy": 0.9},
        lineage=lineage,
    )


class ObedientRuntime(ServingRuntime):
    """Runs nothing, remembers everything: one file per revision and per routing."""

    def __init__(self, folder: Path) -> None:
        self._revisions, self._routings = folder / "revisions", folder / "routings"
        for made in (self._revisions, self._routings):
            made.mkdir(parents=True, exist_ok=True)

    async def apply(self, spec: RevisionSpec) -> None:
        (self._revisions / spec.revision_id).touch()

    async def observe(self, revision_id: str) -> Observed:
        runs = (self._revisions / revision_id).exists()
        return Observed(ready=runs, failed=False, message="" if runs else "not there")

    async def remove(self, revision_id: str) -> None:
        (self._revisions / revision_id).unlink(missing_ok=True)

    async def route(self, routing: Routing) -> None:
        (self._routings / routing.deployment_id).write_text(_shares(routing))

    async def misrouted(self, wanted: Collection[Routing]) -> set[str]:
        shared = {path.name: path.read_text() for path in self._routings.iterdir()}
        asked = {routing.deployment_id: _shares(routing) for routing in wanted}
        return {
            name for name in shared.keys() | asked.keys() if shared.get(name, _NOTHING) != asked.get(name, _NOTHING)
        }

    def address(self, placement: Placement) -> str | None:
        return None

    async def known(self) -> set[str]:
        return {path.name for path in self._revisions.iterdir()}

    async def close(self) -> None:
        return


_NOTHING = "[]"


def _shares(routing: Routing) -> str:
    return json.dumps(sorted(routing.shares))


class CalmSignals(Signals):
    """Every revision does well, but those that a test has named in the folder."""

    def __init__(self, folder: Path) -> None:
        self._failing = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def since(self, revision_id: str, start: datetime) -> Signal:
        return Signal(100, 50 if (self._failing / revision_id).exists() else 0, 0.001)


def quick(built: BuiltServices) -> BuiltServices:
    """Return the platform with its slow parts replaced."""
    home = built.settings.home
    return replace(
        built,
        registry=FileRegistry(home / "registry", built.settings.bundle_dir, home / "prepared", built.signer),
        runtime=ObedientRuntime(home / "obedient"),
        signals=CalmSignals(home / "failing"),
    )
