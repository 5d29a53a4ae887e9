"""The documents say what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.pages())


def test_reference_pages_are_what_the_code_says_now() -> None:
    for name, content in _generated().items():
        assert (ROOT / "docs" / "reference" / name).read_text() == content, f"run `make docs`: {name} is out of date"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), f"{target} does not exist"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_named_in_documents_exist(path: Path) -> None:
    package = ROOT / "platform-api" / "src" / "mlops_platform"
    for named in re.findall(r"`([a-z_./-]+/[a-z_0-9]+\.(?:py|yaml|lock))`", path.read_text()):
        assert any((base / named).exists() for base in (ROOT, package, ROOT / "platform-api")), (
            f"{named} does not exist"
        )


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "architecture" / "adrs"
    index = (folder / "README.md").read_text()
    missing = [path.name for path in folder.glob("0*.md") if path.name not in index]
    assert not missing


def test_every_room_is_on_the_map() -> None:
    architecture = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    package = ROOT / "platform-api" / "src" / "mlops_platform"
    missing = [
        folder.name
        for folder in package.iterdir()
        if (folder / "__init__.py").exists() and f"{folder.name}/" not in architecture
    ]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_claims_to_be_compliant(path: Path) -> None:
    for sentence in re.split(r"(?<=[.!?])\s", path.read_text()):
        if "compliant" in sentence:
            assert "does not" in sentence or "not " in sentence, f"claim: {sentence}"
