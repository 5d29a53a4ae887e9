"""Models of old libraries are built, served and explained in these, and answer as where they were trained; real uv, a real index."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source
from mlops_platform.builds.bundles import build_command
from mlops_platform.builds.load_test import answer_once, explain_once
from mlops_platform.environment_locks.service import Prepared, prepare
from model_server.sandbox.limits import Limits

from ..support.wheels import installed
from .trained import Trained, train

_SKLEARN_13 = ["scikit-learn==1.3.2", "numpy==1.26.4", "pandas==1.5.3", "scipy==1.11.4"]
_XGBOOST_17 = ["xgboost==1.7.6", "scikit-learn==1.2.2", "numpy==1.23.5", "pandas==1.5.3", "scipy==1.10.1"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> UvEnvironments:
    cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    return UvEnvironments(tmp_path_factory.mktemp("environments"), Source(cache))


def _build(store: UvEnvironments, artifact: Path, output: Path) -> tuple[Prepared, dict[str, Any]]:
    prepared = prepare(store, artifact)
    assert prepared.lock is not None, prepared.step
    limits = Limits(6_000_000_000, 120, 240)
    command = build_command(artifact, output, "m", 1, limits, libraries=(store.root, prepared.lock.name))
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return prepared, json.loads((output / "report.json").read_text())


async def _serves_as_trained(store: UvEnvironments, trained: Trained, output: Path) -> dict[str, Any]:
    prepared, report = _build(store, trained.artifact, output)
    assert prepared.step["kind"] == "own"
    steps = {step["name"]: step for step in report["steps"]}
    assert steps["versions"]["status"] == "passed", steps["versions"]["detail"]
    _, answered = await answer_once(output, store.root)
    # a compiled graph is proven to 1e-5; XGBoost itself computes with 32 bits
    within = 1e-6 if report["engine"] == "onnx" else 1e-12
    assert answered == pytest.approx(trained.answers[: len(answered)], abs=within)
    explained, how = await explain_once(output, store.root)
    assert explained, how
    return steps


@pytest.mark.slow
async def test_a_model_of_scikit_learn_1_3_answers_as_where_it_was_trained(
    store: UvEnvironments, tmp_path: Path
) -> None:
    trained = train(store, "boosting", _SKLEARN_13, tmp_path / "one")
    # its losses are of a module that later releases do not have
    steps = await _serves_as_trained(store, trained, tmp_path / "bundle")
    assert "GradientBoostingClassifier" in steps["load"]["detail"]
    before = installed(store.root)
    other = train(store, "pipeline", _SKLEARN_13, tmp_path / "two")
    began = time.monotonic()
    prepared, _ = _build(store, other.artifact, tmp_path / "second")
    seconds = time.monotonic() - began
    assert not prepared.step["made"]
    assert installed(store.root) == before
    assert seconds < 20, "five on an idle machine"


@pytest.mark.slow
async def test_a_model_of_xgboost_1_7_and_pandas_1_5_answers_as_where_it_was_trained(
    store: UvEnvironments, tmp_path: Path
) -> None:
    await _serves_as_trained(store, train(store, "xgboost", _XGBOOST_17, tmp_path / "one"), tmp_path / "bundle")


def test_a_model_of_the_platforms_own_libraries_makes_no_environment(store: UvEnvironments, tmp_path: Path) -> None:
    import numpy as np
    import sklearn

    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    (tmp_path / "model.pkl").write_bytes(b"")
    pins = f"scikit-learn=={sklearn.__version__}\nnumpy=={np.__version__}\nmlflow==2.9.2\ncloudpickle==2.2.1\n"
    (tmp_path / "requirements.txt").write_text(pins)
    before = installed(store.root)
    prepared = prepare(store, tmp_path)
    assert (prepared.lock, prepared.refusal, prepared.step["kind"]) == (None, None, "platform")
    assert installed(store.root) == before
