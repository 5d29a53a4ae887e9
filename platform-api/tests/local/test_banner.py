"""The lines `mlops up` prints: which are there, and how paths are shown from where one types."""

import shlex
import sys
from pathlib import Path

import pytest

from mlops_platform.local.banner import banner, next_commands
from mlops_platform.local.feature_project import NO_DEMO
from mlops_platform.local.home import Home
from mlops_platform.local.state import PlatformState

CHECKOUT = Path(__file__).parents[3]
URLS = {"platform": "http://127.0.0.1:8160", "mlflow": "http://127.0.0.1:5160"}


def state(*notes: str) -> PlatformState:
    return PlatformState("ready", seconds_to_ready=13.4, urls=URLS, notes=list(notes))


@pytest.mark.parametrize("folder", [CHECKOUT, CHECKOUT / "examples"])
def test_in_the_checkout_paths_are_relative_and_the_home_beside_needs_no_export(folder: Path) -> None:
    lines = next_commands(Home(folder / ".mlops"), state(), folder)
    assert not any("MLOPS_HOME" in line or "--home" in line for line in lines)
    example = next(line for line in lines if "1_register_and_deploy.py" in line)
    for word in shlex.split(example):
        assert not word.startswith("/") or not Path(sys.executable).is_relative_to(CHECKOUT)
        assert (folder / word).exists(), word


def test_elsewhere_paths_are_absolute_and_the_home_is_exported(tmp_path: Path) -> None:
    lines = next_commands(Home(tmp_path / "my home"), state(), tmp_path)
    assert lines[0] == f"export MLOPS_HOME={shlex.quote(str(tmp_path / 'my home'))}"
    assert f"export MLFLOW_TRACKING_URI={URLS['mlflow']}" in lines
    for line in lines[-2:]:
        program, _verb, option, home = shlex.split(line)
        assert (Path(program).is_absolute(), Path(program).exists()) == (True, True)
        assert (option, home) == ("--home", str(tmp_path / "my home"))


def test_a_home_elsewhere_is_exported_in_the_checkout_too(tmp_path: Path) -> None:
    assert next_commands(Home(tmp_path), state(), CHECKOUT)[0] == f"export MLOPS_HOME={tmp_path}"


def test_a_home_that_only_this_shells_variable_names_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the terminal in which the lines are typed does not have it
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.chdir(CHECKOUT)
    assert f"export MLOPS_HOME={tmp_path}" in banner(Home.at(None), state())


def test_no_example_is_named_that_would_lack_its_data(tmp_path: Path) -> None:
    assert any("1_register_and_deploy.py" in line for line in next_commands(Home(tmp_path), state(), CHECKOUT))
    assert not any("examples" in line for line in next_commands(Home(tmp_path), state(NO_DEMO), CHECKOUT))


def test_the_time_and_the_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = banner(Home(tmp_path), state())
    assert text.startswith("The platform is ready after 13.4 s.\n")
    assert "http://127.0.0.1:8160/console" in text
    assert "Next, in any terminal:" in text
