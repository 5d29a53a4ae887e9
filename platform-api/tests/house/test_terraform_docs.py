"""READMEs of Terraform modules say what the modules take and give."""

import importlib.util
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).parents[3] / "terraform"
MODULES = sorted(path for path in (TERRAFORM / "modules").iterdir() if path.is_dir())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_the_readme_lists_what_the_module_takes_and_gives(module: Path) -> None:
    spec = importlib.util.spec_from_file_location("document", TERRAFORM / "scripts" / "document.py")
    assert spec
    assert spec.loader
    document = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(document)
    assert (module / "README.md").read_text() == document.readme(module), "run `make terraform-docs`"
