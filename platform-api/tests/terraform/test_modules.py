"""Every module's own tests, and what holds of all roots: format, validity, environments that differ in their settings only."""

import re
from pathlib import Path

import pytest

from .workspace import ENVIRONMENTS, MODULES, ROOTS, SOURCES, Workspace

pytestmark = [pytest.mark.external("terraform"), pytest.mark.timeout(900)]


def test_every_file_is_in_terraforms_own_format(workspace: Workspace) -> None:
    checked = workspace.attempt(".", "fmt", "-check", "-recursive", "-no-color")
    assert checked.returncode == 0, f"run `terraform fmt -recursive terraform`: {checked.stdout}"


@pytest.mark.slow
@pytest.mark.parametrize("root", ROOTS)
def test_every_root_is_valid(workspace: Workspace, root: str, tmp_path: Path) -> None:
    # apart from what another test has set up here: a root that knows its backend asks for credentials
    apart = {"TF_DATA_DIR": str(tmp_path)}
    workspace.run(root, "init", "-backend=false", "-no-color", extra=apart)
    workspace.run(root, "validate", "-no-color", extra=apart)


@pytest.mark.whole("terraform's own tests of every module take minutes")
@pytest.mark.parametrize("module", MODULES)
def test_the_module_passes_its_own_tests(workspace: Workspace, module: str) -> None:
    """As in the guide: `cd terraform/modules/<module> && terraform init && terraform test`."""
    workspace.init(f"modules/{module}")
    printed = workspace.run(f"modules/{module}", "test", "-no-color")
    passed = re.search(r"Success! (\d+) passed, 0 failed", printed)
    assert passed, printed
    assert int(passed[1]) >= 4, "a module without assertions proves nothing"


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_the_same_files(module: str) -> None:
    folder = SOURCES / "modules" / module
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "tests"} <= {
        path.name for path in folder.iterdir()
    }


@pytest.mark.parametrize("name", ["main.tf", "variables.tf", "outputs.tf", "providers.tf", "versions.tf"])
def test_environments_share_every_file_but_their_settings(name: str) -> None:
    assert len({(SOURCES / "environments" / environment / name).read_text() for environment in ENVIRONMENTS}) == 1


def test_states_of_environments_differ_in_their_key_only() -> None:
    backends = {
        environment: (SOURCES / "environments" / environment / "backend.tf").read_text() for environment in ENVIRONMENTS
    }
    assert all(f'key          = "{environment}/terraform.tfstate"' in text for environment, text in backends.items())
    assert len({text.replace(f'"{environment}/', '"') for environment, text in backends.items()}) == 1
