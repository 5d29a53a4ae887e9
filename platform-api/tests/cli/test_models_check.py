"""`mlops models check`: a scientist knows before registration what will happen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from mlops_platform.builds.forecast import Line, Way, lines, ways
from mlops_platform.policy.loading import load
from mlops_platform.settings import Settings

from ..flows.conftest import hostile_bytes
from .conftest import Ran

Mlops = Callable[..., Ran]
FRAME = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "income": [1.0, 5.0, 2.0, 8.0]})
MODEL = LogisticRegression().fit(FRAME, [0, 1, 0, 1])


def _line(answer: dict[str, Any], topic: str) -> dict[str, Any]:
    [found] = [line for line in answer["lines"] if line["topic"] == topic]
    return dict(found)


@pytest.mark.slow
def test_a_logged_model_is_checked_by_its_address(mlops: Mlops, mlflow_server: str) -> None:
    mlflow.set_tracking_uri(mlflow_server)
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            MODEL, name="model", input_example=FRAME, signature=infer_signature(FRAME, MODEL.predict(FRAME))
        )
    ran = mlops("models", "check", f"runs:/{run.info.run_id}/model", "--json", MLFLOW_TRACKING_URI=mlflow_server)
    assert ran.code == 0, ran.err
    assert (ran.json["verdict"], ran.json["engine"]) == ("built", "onnx")
    assert _line(ran.json, "explanations")["standing"] == "good"
    assert ran.json["needs"]["low"][1]["approvers"] == ["manager"]
    missing = mlops("models", "check", "runs:/0123/model", MLFLOW_TRACKING_URI=mlflow_server)
    assert missing.code == 1
    assert "does not give runs:/0123/model" in missing.err


@pytest.mark.slow
def test_what_is_missing_is_said_with_what_to_do(mlops: Mlops, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(MODEL, tmp_path / "model", pip_requirements=["scikit-learn"])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ran = mlops("models", "check", str(tmp_path / "model"), TMPDIR=str(scratch))
    assert ran.code == 0, ran.err
    assert "-> log it with signature=infer_signature" in ran.out
    assert "-> log it with input_example=" in ran.out
    assert "the platform would take it" in ran.out
    assert not list(scratch.glob("mlops-check-*")), "nothing is left behind"


def test_a_model_that_would_be_refused_says_why_and_never_runs(mlops: Mlops, tmp_path: Path) -> None:
    mlflow.sklearn.save_model(MODEL, tmp_path / "model", serialization_format="cloudpickle")
    marker = tmp_path / "owned"
    (tmp_path / "model" / "model.pkl").write_bytes(hostile_bytes(str(marker)))
    ran = mlops("models", "check", str(tmp_path / "model"))
    assert ran.code == 1
    assert "the platform would refuse it" in ran.err
    assert "x scan" in ran.out
    assert "who must agree" not in ran.out
    assert not marker.exists()


def test_what_is_no_model_is_wrong_usage(mlops: Mlops, tmp_path: Path) -> None:
    assert mlops("models", "check", str(tmp_path)).code == 2
    nobody = mlops("models", "check", "models:/m-1", MLFLOW_TRACKING_URI="")
    assert (nobody.code, "set MLFLOW_TRACKING_URI" in nobody.err) == (3, True)


def test_code_of_its_own_is_refused_where_the_policy_says_so() -> None:
    policy = load(Settings().policy_file)
    of_high = {way.environment: way for way in ways(policy, "declared")["high"]}
    assert of_high["production"].refused is not None
    assert "not possible" in of_high["production"].sentence
    assert all(way.refused is None for each in ways(policy, "none").values() for way in each)


def test_every_sentence_of_a_refusal_is_shown_once() -> None:
    steps = [{"name": "format", "status": "failed", "detail": "model.exe is not on the allow-list"}]
    found = lines({"verdict": "refused", "detail": "model.exe is not on the allow-list", "steps": steps}, None)
    assert found == [Line("files", "stop", "model.exe is not on the allow-list")]
    [whole] = lines({"verdict": "refused", "detail": "no MLmodel", "steps": []}, None)
    assert (whole.topic, whole.standing) == ("build", "stop")
    assert Way("staging", (), (), None).sentence == "staging: nobody must agree"
