"""What the Dockerfiles promise, as far as it can be shown without a container engine."""

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn

from mlops_platform import api_server, app, mlflow_front, worker
from mlops_platform.predictions.protocol import PredictionProtocol
from tests.house import declared
from tests.house.images import IMAGES, OURS, Image

from .manifests import ROOT, objects, of, templates

API, MLFLOW = ROOT / "platform-api" / "Dockerfile", ROOT / "kubernetes" / "mlflow" / "Dockerfile"


def _stages(path: Path) -> dict[str, str]:
    parts = re.split(r"^FROM ", path.read_text(), flags=re.MULTILINE)[1:]
    return {(re.match(r"\S+ AS (\S+)", part) or [part, "final"])[1]: part for part in parts}


def _chain(path: Path, name: str) -> str:
    """Return a stage with those it is built from, oldest first."""
    stages = _stages(path)
    base = stages[name].split(maxsplit=1)[0]
    return (_chain(path, base) if base in stages else "") + stages[name]


TARGETS = {API: ["api", "worker", "model-server"], MLFLOW: ["final"]}


@pytest.mark.parametrize("path", [API, MLFLOW], ids=["platform", "mlflow"])
def test_hadolint_finds_nothing(path: Path) -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), path], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", [API, MLFLOW], ids=["platform", "mlflow"])
def test_images_run_as_a_number_and_install_locked_wheels(path: Path) -> None:
    installs = [line for line in path.read_text().splitlines() if "pip install" in line]
    assert installs
    for install in installs:
        assert "--require-hashes" in install
        assert "--only-binary=:all:" in install
    for name in TARGETS[path]:
        chain = _chain(path, name)
        assert re.search(r"^USER 10001:10001$", chain, re.MULTILINE), name
        assert "USER root" not in chain
        assert "pip install" not in chain
        assert "apt-get" not in _stages(path)[name]


@pytest.mark.parametrize("path", [API, MLFLOW], ids=["platform", "mlflow"])
def test_copied_files_exist_and_are_let_in(path: Path) -> None:
    ignored = (path.parent / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE):
        source = shlex.split(line)[0]
        assert (path.parent / source).exists()
        assert f"!{source.split('/')[0]}" in ignored


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.target)
def test_each_image_has_its_own_lock_and_the_code_that_it_runs(image: Image) -> None:
    stages = _stages(API)
    assert f"COPY {image.lock} ." in stages[f"{image.target}-environment"]
    stage = stages[image.target]
    assert f"COPY --from={image.target}-environment /opt/mlops /opt/mlops" in stage
    copied = re.findall(r"^COPY src(?:/(\S+))? ", stage, re.MULTILINE)
    assert copied == ([""] if image.packages == set(OURS) else sorted(image.packages))
    # what was linked against OpenMP is in the locks of two
    assert ("libgomp1" in _chain(API, image.target)) == ("lightgbm" in declared.pins(image.lock))


def test_default_target_is_the_api() -> None:
    assert list(_stages(API))[-1] == "api"


def test_builds_and_trial_servers_find_the_code_without_the_environments_help() -> None:
    # a build is `python -I`, a server under load test gets a few variables: neither sees PYTHONPATH
    assert "PYTHONPATH" not in re.sub(r"^#.*$", "", API.read_text(), flags=re.MULTILINE)
    for name in TARGETS[API]:
        assert _stages(API)[f"{name}-environment"].startswith("environment ")
        assert "ENV PATH=/opt/mlops/bin" in _chain(API, name)
    assert re.search(r"echo /opt/mlops/src > .*purelib.*/mlops\.pth", _stages(API)["environment"])


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


def test_mlflow_image_has_the_platforms_mlflow() -> None:
    def version(path: Path) -> str:
        return re.search(r"^mlflow==(\S+)", path.read_text(), re.MULTILINE)[1]  # type: ignore[index]

    assert version(MLFLOW.parent / "requirements.lock") == version(API.parent / "requirements.lock")


def test_image_starts_the_api_as_the_laptop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    command = " ".join(re.findall(r'"([^"]+)"', _stages(API)["api"].split("\nCMD", 1)[1]))
    started: list[uvicorn.Config] = []

    class Started:
        def __init__(self, config: uvicorn.Config, _beat: object) -> None:
            started.append(config)

        def run(self, sockets: list[socket.socket]) -> None:
            assert sockets

    monkeypatch.setattr(api_server, "_Server", Started)
    with socket.socket() as bound:
        api_server.serve(bound, lambda: None)
    [config] = started
    assert (config.factory, config.app, config.http) == (True, app.create, PredictionProtocol)
    assert "--factory mlops_platform.app:create" in command
    assert "--http mlops_platform.predictions.protocol:PredictionProtocol" in command
    assert not config.proxy_headers
    assert "--no-proxy-headers" in command


@pytest.mark.external("kubectl")
def test_commands_of_manifests_are_modules_that_take_these_arguments() -> None:
    commands = [
        c["command"]
        for _, pod in templates(of(objects("platform", "dev"), "StatefulSet", "Deployment"))
        for c in pod["spec"]["containers"]
        if "command" in c
    ]
    assert len(commands) == 4
    (door,) = (command for command in commands if "uvicorn" in command)
    assert door[:5] == ["python", "-m", "uvicorn", "--factory", "mlops_platform.mlflow_front:create"]
    assert callable(mlflow_front.create)
    for command in commands:
        if command is door:
            continue
        assert command[:3] == ["python", "-m", "mlops_platform.worker"]
        # what lies beside an API has its rights, and those end at moving segments
        assert worker.options(command[3:]).job in (None, ["prediction-log", "prediction-log-metrics"])
