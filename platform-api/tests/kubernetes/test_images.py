"""What the Dockerfiles promise, as far as it can be shown without a container engine."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_platform import worker
from mlops_platform.local.options import Options
from mlops_platform.local.process_specs import api as local_api

from .manifests import ROOT, objects, of, templates

API, MLFLOW = ROOT / "platform-api" / "Dockerfile", ROOT / "kubernetes" / "mlflow" / "Dockerfile"


def _stages(path: Path) -> dict[str, str]:
    parts = re.split(r"^FROM ", path.read_text(), flags=re.MULTILINE)[1:]
    return {(re.match(r"\S+ AS (\S+)", part) or [part, "final"])[1]: part for part in parts}


@pytest.mark.parametrize("path", [API, MLFLOW], ids=["platform", "mlflow"])
def test_hadolint_finds_nothing(path: Path) -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), path], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", [API, MLFLOW], ids=["platform", "mlflow"])
def test_images_run_as_a_number_and_install_locked_wheels(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    install = next(line for line in text.splitlines() if "pip install" in line)
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install
    last = list(_stages(path).values())[-1]
    assert "pip install" not in last
    assert "apt-get" not in last


@pytest.mark.parametrize("path", [API, MLFLOW], ids=["platform", "mlflow"])
def test_copied_files_exist_and_are_let_in(path: Path) -> None:
    ignored = (path.parent / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE):
        source = shlex.split(line)[0]
        assert (path.parent / source).exists()
        assert f"!{source.split('/')[0]}" in ignored


def test_default_target_is_the_api_and_the_other_holds_no_control_plane() -> None:
    stages = _stages(API)
    assert list(stages)[-1] == "api"
    assert "COPY src/model_server /opt" in stages["model-server"]
    assert "mlops_platform" not in stages["model-server"]


def test_model_server_starts_without_the_control_plane(tmp_path: Path) -> None:
    (tmp_path / "model_server").symlink_to(ROOT / "platform-api" / "src" / "model_server")
    (tmp_path / "mlops_platform.py").write_text("raise SystemExit('model_server imported the control plane')\n")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "model_server.serve",
            "--host",
            "127.0.0.1",
            "--port",
            "8080",
            "--bundle",
            str(tmp_path / "nothing"),
        ],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # refused for its bundle, in one line: everything was imported, and nothing of the control plane
    assert ran.returncode == 4, ran.stderr
    assert "Traceback" not in ran.stderr


def test_image_lock_is_the_tested_lock_without_the_tools() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", (ROOT / "platform-api" / name).read_text(), re.MULTILINE))

    image, tested = pins("image-requirements.lock"), pins("requirements.lock")
    assert image <= tested
    # mypy is there because Feast asks for it at run time
    assert not [pin for pin in image if pin.startswith(("pytest", "ruff", "locust", "hadolint", "moto", "playwright"))]


def test_mlflow_image_has_the_platforms_mlflow() -> None:
    def version(path: Path) -> str:
        return re.search(r"^mlflow==(\S+)", path.read_text(), re.MULTILINE)[1]  # type: ignore[index]

    assert version(MLFLOW.parent / "requirements.lock") == version(API.parent / "requirements.lock")


def test_image_starts_the_api_as_the_laptop_does(tmp_path: Path) -> None:
    command = " ".join(re.findall(r'"([^"]+)"', _stages(API)["api"].split("\nCMD", 1)[1]))
    for argument in (
        "--factory mlops_platform.app:create",
        "--http mlops_platform.predictions.protocol:PredictionProtocol",
        "--no-proxy-headers",
    ):
        assert argument in command
        assert argument in " ".join(local_api(Options(home=tmp_path), {}).argv)


@pytest.mark.external("kubectl")
def test_commands_of_manifests_are_modules_that_take_these_arguments() -> None:
    commands = [
        c["command"]
        for _, pod in templates(of(objects("platform", "dev"), "StatefulSet", "Deployment"))
        for c in pod["spec"]["containers"]
        if "command" in c
    ]
    assert len(commands) == 3
    for command in commands:
        assert command[:3] == ["python", "-m", "mlops_platform.worker"]
        # what lies beside an API has its rights, and those end at moving segments
        assert worker.options(command[3:]).job in (None, ["prediction-log", "prediction-log-metrics"])
