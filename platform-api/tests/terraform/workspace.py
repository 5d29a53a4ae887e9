"""Terraform on a copy of the tree, so that a test leaves nothing in the repository."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

REPOSITORY = Path(__file__).parents[3]
SOURCES = REPOSITORY / "terraform"
MODULES = sorted(path.name for path in (SOURCES / "modules").iterdir() if path.is_dir())
ENVIRONMENTS = ("dev", "staging", "production")
ROOTS = [*(f"environments/{name}" for name in ENVIRONMENTS), "bootstrap"]


def script(name: str) -> ModuleType:
    """A program of terraform/scripts as a module."""
    spec = importlib.util.spec_from_file_location(name, SOURCES / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TerraformFailed(AssertionError):
    """What terraform printed is the reason."""


@dataclass
class Workspace:
    """A copy of terraform/ and the environment to run terraform in."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    @classmethod
    def create(cls, folder: Path) -> "Workspace":
        shutil.copytree(
            SOURCES, folder / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfplan", "*.tfstate*")
        )
        return cls(folder / "terraform", script("provider_mirror").environment(folder))

    def run(self, root: str, *arguments: str, extra: Mapping[str, str] | None = None, timeout: int = 900) -> str:
        """Terraform's output in that folder; fails with it when terraform fails."""
        done = self.attempt(root, *arguments, extra=extra, timeout=timeout)
        if done.returncode != 0:
            raise TerraformFailed(
                f"terraform {' '.join(arguments)} in {root}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done.stdout

    def attempt(
        self, root: str, *arguments: str, extra: Mapping[str, str] | None = None, timeout: int = 900
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder / root,
            env={**self.environment, **(extra or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def init(self, root: str) -> None:
        self.run(root, "init", "-backend=false", "-no-color")

    def plan(self, root: str, *arguments: str, extra: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The plan as JSON."""
        self.run(root, "plan", "-no-color", "-out=tfplan", *arguments, extra=extra)
        shown: dict[str, Any] = json.loads(self.run(root, "show", "-json", "tfplan", extra=extra))
        return shown
