"""Where a graph is nearly the model: values beside a known one, ties of probabilities, and converters that end without a word."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_models import log
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

from model_server.build import tree_readers
from model_server.build.__main__ import build
from model_server.build.child import Events
from model_server.build.tree_ensemble import NotCompilable, first_line
from model_server.refusals import Refused
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

random = np.random.default_rng(3)
FRAME = pd.DataFrame({"step": random.integers(0, 4, 200) / 2, "size": random.normal(size=200)})
TARGET = (FRAME["step"] + FRAME["size"] > 1).astype(int)


def served(model: Any, frame: pd.DataFrame, folder: Path) -> ServedModel:
    report = build(log(model, frame, "sklearn", folder / "artifact"), folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return ServedModel(BuiltFiles(folder / "bundle"))


@pytest.mark.parametrize(
    "encoder",
    [
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        pytest.param(TargetEncoder(random_state=0), marks=pytest.mark.whole("the sibling of an encoder that runs")),
    ],
)
def test_a_value_beside_a_category_is_none_of_the_categories(encoder: Any, tmp_path: Path) -> None:
    prepare = make_column_transformer((encoder, ["step"]), remainder="passthrough")
    model = make_pipeline(prepare, LogisticRegression()).fit(FRAME, TARGET)
    asked = pd.DataFrame({"step": [0.5, np.nextafter(0.5, 1), 0.0, 1e-300], "size": [0.1] * 4})
    wanted = model.predict_proba(asked)[:, 1]
    assert wanted[0] != pytest.approx(wanted[1], abs=1e-4)
    answers = served(model, FRAME, tmp_path).predict(["step", "size"], asked.to_numpy().tolist()).prediction
    assert answers == pytest.approx(wanted, abs=1e-5)


def test_labels_of_tied_probabilities_are_the_models_own(tmp_path: Path) -> None:
    """This loss gives most rows a probability of one or a third each; its labels go by what is behind them."""
    frame = pd.DataFrame(random.normal(size=(200, 3)) * 5, columns=["a", "b", "c"])
    target = np.array(["low", "mid", "high"])[np.digitize(frame["a"], [-2, 2])]
    model = SGDClassifier(loss="modified_huber", random_state=0).fit(frame, target)
    labels = model.predict(frame).tolist()
    assert labels != model.classes_[model.predict_proba(frame).argmax(axis=1)].tolist()
    assert served(model, frame, tmp_path).predict(list(frame.columns), frame.to_numpy().tolist()).labels == labels


def test_an_error_without_a_word_is_told_as_one() -> None:
    assert [first_line(error) for error in (StopIteration(), AssertionError("a\nb"))] == ["without a word", "a"]


def test_trees_that_are_described_otherwise_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_model: Any) -> Any:
        return {}["objective"]

    monkeypatch.setitem(tree_readers._READERS, "LogisticRegression", other)
    with pytest.raises(NotCompilable, match="KeyError: 'objective'"):
        tree_readers.read_trees(LogisticRegression())


@pytest.mark.parametrize("error", [KeyError("x"), Refused("no", "No.")])
def test_a_step_that_ends_its_process_is_not_told_as_passed(error: Exception) -> None:
    reading, writing = os.pipe()
    with pytest.raises(type(error)), Events(writing).step("compile"):
        raise error
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = [json.loads(line) for line in stream]
    ended = [{"event": "step", "status": "failed"}] if isinstance(error, Refused) else []
    assert [event["event"] for event in told] == ["start", *(entry["event"] for entry in ended)]
    assert [event["step"]["status"] for event in told[1:]] == [entry["status"] for entry in ended]
