"""What pyproject.toml declares, what the locks hold, and what ADR-023 says of it."""

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
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
ADR = ROOT / "docs" / "architecture" / "adrs" / "023-dependencies.md"
OWN = canonicalize_name(PROJECT["project"]["name"])


def _requirements(lines: list[str]) -> dict[str, Requirement]:
    parsed = {canonicalize_name(one.name): one for one in map(Requirement, lines)}
    return {name: one for name, one in parsed.items() if name != OWN}


def places() -> dict[str, str]:
    """Return where each direct dependency of what is shipped stands: `core`, or the extra that names it."""
    core = dict.fromkeys(_requirements(PROJECT["project"]["dependencies"]), "core")
    named = [(name, extra) for extra, lines in EXTRAS.items() for name in _requirements(lines)]
    assert len({name for name, _ in named} | core.keys()) == len(named) + len(core), "a library is declared twice"
    return core | dict(named)


def runtime() -> dict[str, Requirement]:
    """Return the direct dependencies of what is shipped."""
    lines = [line for extra in EXTRAS.values() for line in extra]
    return _requirements([*PROJECT["project"]["dependencies"], *lines])


def development() -> dict[str, Requirement]:
    """Return the direct dependencies of tests and tools."""
    return _requirements(PROJECT["dependency-groups"]["dev"])


def pins(lock: str) -> dict[str, set[str]]:
    """Return a lock's packages with their versions (more than one when it depends on Python's)."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^(\S+)==(\S+)", (PLATFORM_API / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def rows() -> dict[str, tuple[str, ...]]:
    """Return ADR-023's table: a library's name, then the other cells of its row."""
    where = "|".join(("core", *EXTRAS))
    table = re.findall(rf"^\| ([a-z0-9-]+) \| ((?:{where}) \| .+) \|$", ADR.read_text(), re.MULTILINE)
    return {name: tuple(cell.strip() for cell in rest.split(" | ")) for name, rest in table}


def imports(path: Path) -> set[str]:
    """Return the modules a file imports, at any depth, relative ones apart."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(roots: tuple[Path, ...]) -> set[str]:
    """Return the packages that the Python files below these folders import."""
    paths = (path for root in roots for path in root.rglob("*.py") if ".terraform" not in path.parts)
    return {owner for path in paths for name in imports(path) for owner in owners(name)}


def owners(module: str) -> set[str]:
    """Return the installed packages that a module may come from; none for the standard library's and our own."""
    return {canonicalize_name(name) for name in _OWNERS.get(module.split(".", maxsplit=1)[0], ())} - {OWN}


_OWNERS = packages_distributions()
