"""Rows of several requests share a call only where a row's answer depends on no other: measured by the build, or declared."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from test_model_server import Server

from model_server.build.__main__ import build
from model_server.build.independence import measure
from model_server.build.stages import Stages
from model_server.bundle import MOST_JOINED, InputColumn, read_bundle
from model_server.engines.native import NativeModel
from model_server.trust.files import BuiltFiles

FRAME = pd.DataFrame({"a": np.arange(20.0), "b": np.linspace(0.0, 1.0, 20)})
INPUTS = (InputColumn("a", "double"), InputColumn("b", "double"))
ROWS = FRAME.to_numpy().tolist()
Answering = Callable[[Any], Any]


class Estimator:
    def __init__(self, answering: Answering) -> None:
        self.predict = answering


def model(answering: Answering) -> NativeModel:
    return NativeModel(Estimator(answering), "pyfunc", "raw", ())


def refusing(rows: Any) -> Any:
    if (rows[:, 0] > 15).any():
        raise ValueError
    return rows[:, 0]


def refusing_alone(rows: Any) -> Any:
    if len(rows) == 1 and rows[0, 0] > 15:
        raise ValueError
    return rows[:, 0]


def counting() -> Answering:
    calls = iter(range(10_000))
    return lambda rows: rows[:, 0] + next(calls)


@pytest.mark.parametrize(
    ("answering", "exactly"),
    [
        (lambda rows: rows[:, 0] * 2, True),
        (lambda rows: rows.tolist(), True),
        (lambda rows: np.array([f"{row[0]}" for row in rows], dtype=object), True),
        (lambda rows: rows[:, 0] + len(rows) * 1e-9, False),
        (refusing, True),
    ],
    ids=["a number", "several", "texts", "within what parity allows", "some refused"],
)
def test_rows_answered_alike_in_any_company_are_independent(answering: Answering, exactly: bool) -> None:
    found = measure(model(answering), INPUTS, ROWS, "array")
    assert 8 <= found.rows <= MOST_JOINED, found
    assert (found.largest_difference == 0.0) is exactly
    assert "alone, together and in another order" in found.sentence


@pytest.mark.parametrize(
    "answering",
    [
        lambda rows: rows[:, 0] - rows[:, 0].mean(),
        lambda rows: np.argsort(np.argsort(rows[:, 0])),
        lambda rows: np.cumsum(rows[:, 0]),
        lambda rows: rows[:, 0] + (np.arange(len(rows)) == 0),
        lambda rows: rows[:, 0] if len(rows) < 40 else rows[:, 0] + 1,
        lambda rows: np.random.default_rng().normal(size=len(rows)),
        lambda rows: np.array(["first", *["later"] * (len(rows) - 1)], dtype=object),
        lambda rows: rows[:1, 0],
        counting(),
        refusing_alone,
    ],
    ids=["mean", "rank", "sum", "first", "many", "random", "text", "one answer", "counts calls", "refuses alone"],
)
def test_rows_that_depend_on_others_are_not(answering: Answering) -> None:
    found = measure(model(answering), INPUTS, ROWS, "array")
    assert found.rows == 0
    assert found.largest_difference is None


def test_too_few_different_rows_prove_nothing() -> None:
    inputs = (InputColumn("on", "boolean"),)
    found = measure(model(lambda rows: np.asarray(rows["on"])), inputs, [[True], [False]], "frame")
    assert (found.rows, "too few" in found.sentence) == (0, True)


def saved(folder: Path, *, mean: bool, metadata: dict[str, Any] | None = None) -> Path:
    class Scorer(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            if (model_input["a"] > 100).any():
                raise ValueError("too much")
            found = model_input["a"] * 2.0
            return found - found.mean() if mean else found

    mlflow.pyfunc.save_model(
        str(folder),
        python_model=Scorer(),
        signature=infer_signature(FRAME, FRAME["a"]),
        input_example=FRAME,
        pip_requirements=[],
        metadata=metadata,
    )
    return folder


@pytest.mark.parametrize(
    ("mean", "declared", "joined", "status"),
    [
        (False, None, MOST_JOINED, "passed"),
        (True, None, 0, "warning"),
        (False, False, 0, "passed"),
        (True, True, MOST_JOINED, "warning"),
    ],
)
def test_the_bundle_states_how_many_rows_and_the_report_shows_the_proof(
    tmp_path: Path, mean: bool, declared: bool | None, joined: int, status: str
) -> None:
    metadata = None if declared is None else {"independent_rows": declared}
    artifact = saved(tmp_path / "artifact", mean=mean, metadata=metadata)
    report = build(artifact, tmp_path / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    assert read_bundle(BuiltFiles(tmp_path / "bundle")).joined_rows == joined
    [step] = [step for step in report.steps if step["name"] == "rows"]
    assert (step["status"], step["declared"], step["independent_rows"] > 0) == (status, declared, not mean)
    assert ("the owner declares" in step["detail"]) is (declared is not None)


def test_many_at_once_get_their_own_answers_and_a_refused_one_is_alone_in_that(tmp_path: Path) -> None:
    report = build(saved(tmp_path / "artifact", mean=False), tmp_path / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    (tmp_path / "s").mkdir()
    server = Server(tmp_path / "bundle", tmp_path / "s")

    def ask(number: int) -> tuple[int, Any]:
        # the model refuses what is above a hundred
        rows = [[float(number), 0.0], [200.0 if number % 10 == 7 else 1.0, 0.0]]
        answer = server.client.post("/predict", json={"columns": ["a", "b"], "rows": rows})
        return answer.status_code, answer.json().get("prediction")

    try:
        with ThreadPoolExecutor(16) as callers:
            found = list(callers.map(ask, range(60)))
    finally:
        server.stop()
    expected = [(422, None) if number % 10 == 7 else (200, [2.0 * number, 2.0]) for number in range(60)]
    assert found == expected


def test_metadata_that_is_no_choice_is_refused(tmp_path: Path) -> None:
    artifact = saved(tmp_path / "artifact", mean=False, metadata={"independent_rows": "yes"})
    report = build(artifact, tmp_path / "bundle", name="m", version=1)
    assert (report.reason, "independent_rows" in report.sentence) == ("bad_metadata", True)


@pytest.mark.parametrize("claimed", [10**9, -1, True, "64", None])
def test_a_model_that_claims_what_no_build_states_is_not_built(
    tmp_path: Path, claimed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Stages.load

    def lying(stages: Stages) -> tuple[dict[str, Any], bool, Path]:
        content, offered, folder = honest(stages)
        return {**content, "joined_rows": claimed}, offered, folder

    monkeypatch.setattr(Stages, "load", lying)
    report = build(saved(tmp_path / "artifact", mean=False), tmp_path / "bundle", name="m", version=1)
    assert report.reason == "build_inconsistent"


def test_a_compiled_model_is_not_measured_and_an_older_bundle_joins_nothing(tmp_path: Path, built: Any) -> None:
    folder = built("logistic pipeline").folder
    content = json.loads((folder / "bundle.json").read_text())
    assert content["joined_rows"] == 0
    [step] = [step for step in json.loads((folder / "report.json").read_text())["steps"] if step["name"] == "rows"]
    assert step["status"] == "skipped"
