"""Examples find the platform that runs here by themselves, and say in a sentence when there is none."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_platform.local import state as states
from mlops_platform.local.home import Home
from mlops_platform.local.state import PlatformState

EXAMPLES = Path(__file__).parents[3] / "examples"
_ASK = "import json, workspace; print(json.dumps([workspace.find(part) for part in {parts!r}]))"
Ran = subprocess.CompletedProcess[str]
URLS = {"platform": "http://127.0.0.1:8160", "mlflow": "http://127.0.0.1:5160", "prometheus": "http://127.0.0.1:9160"}


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Ran]:
    """Import the examples' workspace in an empty folder and ask it where parts are."""

    def run(*parts: str, code: str = _ASK, folder: Path = tmp_path, **environment: str) -> Ran:
        ours = ("MLOPS_", "PROMETHEUS_", "MLFLOW_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [sys.executable, "-c", code.format(parts=parts)],
            env={**clean, "PYTHONPATH": str(EXAMPLES), **environment},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _runs(home: Home, **urls: str) -> None:
    home.create()
    states.write(home.run / "state.json", PlatformState("ready", urls=urls))


def test_the_running_platforms_own_state_says_where_everything_is(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / "odd home")
    _runs(home, **URLS)
    with home.locked():
        ran = ask(*URLS, MLOPS_HOME=str(home.folder))
    assert json.loads(ran.stdout) == list(URLS.values()), ran.stderr


def test_a_home_in_the_current_folder_needs_no_variable(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / ".mlops")
    _runs(home, **URLS)
    with home.locked():
        assert json.loads(ask("platform").stdout) == [URLS["platform"]]


def test_variables_win(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / ".mlops")
    _runs(home, **URLS)
    chosen = {
        "MLOPS_URL": "https://mlops.example/",
        "MLFLOW_TRACKING_URI": "https://mlflow.example",
        "PROMETHEUS_URL": "https://prometheus.example",
    }
    with home.locked():
        ran = ask(*URLS, **chosen)
    assert json.loads(ran.stdout) == [value.rstrip("/") for value in chosen.values()]


def test_nothing_that_runs_is_a_sentence_with_what_to_type(ask: Callable[..., Ran], tmp_path: Path) -> None:
    ran = ask("platform", MLOPS_HOME=str(tmp_path / "none"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"No platform runs in {tmp_path / 'none'}" in ran.stderr
    assert "export MLOPS_HOME=" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "none").exists()


def test_the_state_of_a_platform_that_was_killed_is_not_believed(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    _runs(home, **URLS)
    assert "No platform runs" in ask("platform", MLOPS_HOME=str(home.folder)).stderr


def test_a_damaged_state_is_a_sentence_too(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.create()
    (home.run / "state.json").write_text('{"phase": "ready", "chil')
    with home.locked():
        ran = ask("platform", MLOPS_HOME=str(home.folder))
    assert "No platform runs" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_platform_without_prometheus_says_so(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    _runs(home, platform=URLS["platform"], mlflow=URLS["mlflow"])
    with home.locked():
        ran = ask("prometheus", MLOPS_HOME=str(home.folder))
    assert "runs without Prometheus" in ran.stderr
    assert "PROMETHEUS_URL" in ran.stderr


def test_no_token_is_minted_for_somebody_elses_platform(ask: Callable[..., Ran], tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    _runs(home, **URLS)
    with home.locked():
        ran = ask(
            code="import workspace; print(workspace.token())",
            MLOPS_HOME=str(home.folder),
            MLOPS_URL="https://mlops.example",
        )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "Set MLOPS_TOKEN" in ran.stderr
    assert not list((home.folder / "keys").iterdir())
