"""The manifests as kubectl builds them, and the places they come from."""

import functools
import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
ENVIRONMENTS = ("dev", "staging", "production")
TREES = {
    "mlflow": ROOT / "kubernetes" / "mlflow",
    "platform": ROOT / "platform-api" / "k8s",
    "infrastructure": ROOT / "kubernetes" / "infrastructure",
    "serving": ROOT / "kubernetes" / "serving",
    "policies": ROOT / "kubernetes" / "policies",
}
OVERLAYS = [(tree, environment) for tree in TREES for environment in ENVIRONMENTS]
CRDS = Path(os.environ.get("MLOPS_CRDS", ROOT.parent / "shared" / "crds"))

Manifest = dict[str, Any]


@functools.cache
def text(tree: str, environment: str) -> str:
    folder = TREES[tree] / "overlays" / environment
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return built.stdout


@functools.cache
def objects(tree: str, environment: str) -> list[Manifest]:
    return list(yaml.load_all(text(tree, environment), yaml.CSafeLoader))


def everything(environment: str) -> list[Manifest]:
    return [one for tree in TREES for one in objects(tree, environment)]


def of(found: list[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in found if one["kind"] in kinds]


def name(one: Manifest) -> str:
    return f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"


def templates(found: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Yield each workload with its pod template."""
    for one in found:
        match one["kind"]:
            case "Deployment" | "StatefulSet" | "Job":
                yield one, one["spec"]["template"]
            case "CronJob":
                yield one, one["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def renderer() -> Any:
    spec = importlib.util.spec_from_file_location("render", ROOT / "kubernetes" / "render.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
