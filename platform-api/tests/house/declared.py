"""What pyproject.toml declares, and what ADR-023 says of it."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PLATFORM_API = Path(__file__).parents[2]
ROOT = PLATFORM_API.parent
PROJECT = tomllib.loads((PLATFORM_API / "pyproject.toml").read_text())
ADR = ROOT / "docs" / "architecture" / "adrs" / "023-dependencies.md"


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Return the requirements by their canonical names."""
    return {canonicalize_name(parsed.name): parsed for parsed in map(Requirement, lines)}


def runtime() -> dict[str, Requirement]:
    """Return the direct dependencies of what is shipped."""
    return requirements(PROJECT["project"]["dependencies"])


def development() -> dict[str, Requirement]:
    """Return the direct dependencies of tests and tools."""
    return requirements(PROJECT["dependency-groups"]["dev"])


def rows() -> dict[str, tuple[str, ...]]:
    """Return ADR-023's table: a library's name, then the other cells of its row."""
    table = re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", ADR.read_text(), re.MULTILINE)
    return {name: tuple(cell.strip() for cell in rest.split(" | ")) for name, rest in table if name != "library"}


def imported(roots: tuple[Path, ...]) -> set[str]:
    """Return the packages that the Python files below these folders import, at any depth."""
    providers = packages_distributions()
    found: set[str] = set()
    for path in (path for root in roots for path in root.rglob("*.py") if ".terraform" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {canonicalize_name(owner) for name in names for owner in providers.get(name.split(".")[0], ())}
    return found
