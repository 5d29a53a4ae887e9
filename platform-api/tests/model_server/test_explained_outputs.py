"""Every output has its explanation: each class, each value of several, tensors as inputs; what has none says why."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_models import log
from sklearn.cluster import MeanShift
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from model_server.build.__main__ import build
from model_server.bundle import AnswerForm, Form, InputColumn
from model_server.engines.native import NativeModel
from model_server.explain.explainer import Explanation, NotExplainable, explainable, make_explainer
from model_server.explain.without_sample import WithoutSample
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)), columns=["a", "b", "c"])
IMAGE = (InputColumn("image", "tensor", spec={"type": "tensor", "dtype": "double", "shape": [2, 2]}),)


def served(model: Any, folder: Path) -> ServedModel:
    log(model, FRAME, "sklearn", folder / "model")
    report = build(folder / "model", folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return ServedModel(BuiltFiles(folder / "bundle"))


def added(base_values: Any, shap_values: Any) -> Any:
    return np.array(base_values) + np.array(shap_values).sum(axis=-1)


def test_every_class_is_explained_beside_the_most_probable_one(tmp_path: Path) -> None:
    target = np.where(FRAME.a > 0.5, "high", np.where(FRAME.a < -0.5, "low", "middle"))
    model = RandomForestClassifier(5, random_state=0).fit(FRAME, target)
    explained = served(model, tmp_path).explain(["a", "b", "c"], FRAME.head(4).to_numpy().tolist())
    every = explained.as_json()["by_class"]
    chances = model.predict_proba(FRAME.head(4))
    assert every["labels"] == ["high", "low", "middle"]
    np.testing.assert_allclose(added(every["base_values"], every["shap_values"]), chances, atol=1e-6)
    for row, label in enumerate(explained.explained_labels or []):
        place = every["labels"].index(label)
        assert explained.shap_values[row] == every["shap_values"][row][place]
        assert explained.raw_output[row] == every["raw_output"][row][place] == chances[row].max()


def test_each_of_several_targets_is_explained(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME, np.stack([FRAME.a * 2, FRAME.b - FRAME.c], axis=1))
    explained = served(model, tmp_path).explain(["a", "b", "c"], FRAME.head(4).to_numpy().tolist())
    np.testing.assert_allclose(added(explained.base_values, explained.shap_values), model.predict(FRAME.head(4)))
    assert "by_class" not in explained.as_json()


class Sums:
    """Answers a picture, or several, with numbers."""

    def predict(self, rows: Any) -> Any:
        return rows.sum(axis=1) if isinstance(rows, np.ndarray) else rows["image"].sum(axis=1) + rows["size"][:, None]


def explanation(inputs: tuple[InputColumn, ...], rows: list[list[Any]], form: Form) -> Explanation:
    native = explainable(NativeModel(Sums(), "pyfunc", "raw", ()), AnswerForm((2,), "FP64"))
    return make_explainer(native, inputs, form, rows[:2]).explain(rows[2:])


def test_a_tensor_is_one_input() -> None:
    images = np.random.default_rng(1).normal(size=(4, 2, 2))
    explained = explanation(IMAGE, [[image.tolist()] for image in images], "tensor")
    assert explained.space == "value"
    assert np.shape(explained.shap_values) == (2, 2, 1)
    np.testing.assert_allclose(added(explained.base_values, explained.shap_values), images[2:].sum(axis=1))
    rows = [[image.tolist(), place] for place, image in enumerate(images)]
    explained = explanation((*IMAGE, InputColumn("size", "long")), rows, "tensors")
    sums = images[2:].sum(axis=1) + np.array([[2], [3]])
    np.testing.assert_allclose(added(explained.base_values, explained.shap_values), sums)


def test_a_tensor_of_another_length_than_the_sample_is_not_explained() -> None:
    words = (InputColumn("words", "tensor", spec={"type": "tensor", "dtype": "double", "shape": [-1, 2]}),)
    rows: list[list[Any]] = [[[[1.0, 2.0]] * length] for length in (2, 2, 3)]
    with pytest.raises(NotExplainable, match="another length"):
        explanation(words, rows, "tensor")


def test_lists_are_compared_with_the_other_rows_of_the_request() -> None:
    native = NativeModel(Sums(), "pyfunc", "regression", ())
    rows: list[list[Any]] = [[[[1.0, 2.0], [3.0, 4.0]]], [[[0.0, 0.0], [0.0, 1.0]]]]
    explained = WithoutSample(native, IMAGE, "tensor").explain(rows, [])
    assert explained.background["source"] == "this_request"


def test_labels_without_scores_say_why_they_are_not_explained(tmp_path: Path) -> None:
    found = served(MeanShift().fit(FRAME), tmp_path)
    with pytest.raises(NotExplainable, match="labels, texts and named values do not add up"):
        found.explain(["a", "b", "c"], FRAME.head(1).to_numpy().tolist())
