"""Each image's lock in an environment of its own, made as the Dockerfile makes it: what the image runs starts there."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import mlflow
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tests.house import declared, images
from tests.house.images import IMAGES, Image
from tests.support.waiting import until_started

SOURCE = declared.PLATFORM_API / "src"
pytestmark = [
    pytest.mark.whole("installs three environments; most of it `make setup` has left in uv's cache"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Install an image's lock and code as its Dockerfile does, once; return the environment's Python."""

    @functools.cache
    def install(target: str) -> Path:
        (image,) = (one for one in IMAGES if one.target == target)
        folder = tmp_path_factory.mktemp(target)
        uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
        for command in (
            ["venv", "--quiet", "--python", sys.executable, folder / "opt"],
            ["pip", "install", "--quiet", "--require-hashes", "--link-mode", "hardlink", "-r", image.lock],
        ):
            done = subprocess.run(
                [uv, *command],
                cwd=declared.PLATFORM_API,
                env={**os.environ, "VIRTUAL_ENV": str(folder / "opt")},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        for package in image.packages:
            shutil.copytree(SOURCE / package, folder / "src" / package, ignore=shutil.ignore_patterns("__pycache__"))
        (packages,) = (folder / "opt" / "lib").glob("python*/site-packages")
        (packages / "mlops.pth").write_text(f"{folder / 'src'}\n")
        return folder / "opt" / "bin" / "python"

    return install


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.target)
def test_everything_an_image_runs_starts_in_its_own_environment(
    image: Image, installed: Callable[[str], Path], tmp_path: Path
) -> None:
    for entry in image.entries:
        # every module it can reach, because what is imported late fails late
        modules = sorted(images.inside(entry))
        # isolated, as a build is: no PYTHONPATH
        ran = subprocess.run(
            [
                installed(image.target),
                "-I",
                "-c",
                f"import importlib\nfor name in {modules}: importlib.import_module(name)",
            ],
            cwd=tmp_path,
            env={"PATH": os.defpath, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{image.target}, {entry}: {ran.stderr[-1_000:]}"


@pytest.mark.filterwarnings("ignore:Hint. Inferred schema contains integer")  # MLflow's advice
def test_a_model_built_in_the_workers_environment_answers_in_a_model_servers(
    installed: Callable[[str], Path], tmp_path: Path
) -> None:
    frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0] * 10, "spent": [1.0, 2.0, 3.0, 5.0] * 10})
    model = LogisticRegression().fit(frame, (frame["age"] > 35).astype(int))
    mlflow.sklearn.save_model(model, tmp_path / "model", input_example=frame.head(5))
    few = {"PATH": os.defpath, "HOME": str(tmp_path)}
    bundle, socket = tmp_path / "bundle", Path(tempfile.mkdtemp(prefix="mlops-")) / "s"
    options = ["--source", tmp_path / "model", "--output", bundle, "--name", "m", "--version", "1"]
    built = subprocess.run(
        [installed("worker"), "-m", "model_server.build", *options],
        env=few,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    rows = {"columns": list(frame.columns), "rows": frame.head(3).to_numpy().tolist()}
    (bundle / "background.json").write_text(json.dumps(rows))
    command = [installed("model-server"), "-m", "model_server.serve", "--trial", "--bundle", bundle, "--socket", socket]
    log = tmp_path / "server.log"
    with log.open("wb") as out, subprocess.Popen(command, env=few, cwd=tmp_path, stderr=out) as server:
        try:
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://model", timeout=120
            ) as client:
                until_started(server, lambda: client.get("/health/ready").is_success, log)
                assert client.post("/predict", json=rows).json()["labels"] == [0, 0, 1]
                # explained by the model as it was logged, which needs what it was trained with
                assert len(client.post("/explain", json=rows).json()["shap_values"]) == 3
        finally:
            server.kill()
