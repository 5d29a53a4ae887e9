"""Explanations add up to the model's output, whatever the model, and never compare a row with itself."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_models import MODELS, Built, log
from sklearn.cluster import MeanShift

from model_server.build.__main__ import build
from model_server.bundle import read_bundle
from model_server.contract.problems import BadInput
from model_server.explain.explainer import Explainer, NoBackground, NotAdditive, NotExplainable, is_additive
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

ALGORITHMS = {
    "logistic pipeline": "permutation",
    "random forest": "tree",
    "gradient boosting": "tree",
    "xgboost": "tree",
    "lightgbm": "tree",
    "lightgbm booster": "tree",
    "ridge": "linear",
    "text and gaps": "exact",
    "categorical splits": "exact",
    "digits": "permutation",
    "hist gradient regression": None,
    "hist gradient boosting": None,
}


@functools.cache
def served(folder: Path) -> ServedModel:
    return ServedModel(BuiltFiles(folder))


def gap(explanation: Any) -> float:
    """The largest relative distance between base + attributions and the raw output."""
    raw = np.array(explanation.raw_output)
    total = np.array(explanation.base_values) + np.array(explanation.shap_values).sum(axis=1)
    return float((np.abs(total - raw) / np.maximum(1.0, np.abs(raw))).max())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_attributions_add_up_to_the_models_output(built: Callable[[str], Built], name: str) -> None:
    sample = built(name)
    model = served(sample.folder)
    rows = sample.rows(100, 103)
    explanation = model.explain(model.bundle.columns, rows)
    prediction = np.array(model.predict(model.bundle.columns, rows).prediction)
    if model.bundle.task == "multiclass":
        prediction = prediction.max(axis=1)
    assert gap(explanation) <= 1e-6
    np.testing.assert_allclose(explanation.raw_output, prediction, rtol=1e-5, atol=1e-5)
    assert explanation.space == ("value" if model.bundle.task == "regression" else "probability")
    assert explanation.feature_names == model.bundle.columns
    assert np.abs(explanation.shap_values).sum() > 0
    # SHAP's tree method does not add up on every deep tree; then permutation must have taken its place.
    assert explanation.algorithm in ({ALGORITHMS[name]} if ALGORITHMS[name] else {"tree", "permutation"})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["gradient boosting", "lightgbm booster", "xgboost", "ridge", "categorical splits"]),
    seed=st.integers(0, 2**32 - 1),
    stretch=st.floats(0.0, 3.0),
)
def test_explanations_add_up_for_any_row(built: Callable[[str], Built], name: str, seed: int, stretch: float) -> None:
    sample = built(name)
    model = served(sample.folder)
    values = sample.frame.to_numpy(dtype=float)
    random = np.random.default_rng(seed)
    row = random.choice(values) + stretch * random.normal(size=values.shape[1]) * values.std(axis=0)
    if name == "categorical splits":
        row[0] = random.integers(0, 6)
    assert gap(model.explain(model.bundle.columns, [row.tolist()])) <= 1e-6


def test_linear_explanation_is_coefficient_times_distance_from_the_background(built: Callable[[str], Built]) -> None:
    sample = built("ridge")
    row = sample.rows(200, 201)
    explanation = served(sample.folder).explain(list(sample.frame.columns), row)
    background = np.array(json.loads((sample.folder / "background.json").read_text())["rows"])
    expected = sample.model.coef_ * (np.array(row[0]) - background.mean(axis=0))
    np.testing.assert_allclose(explanation.shap_values[0], expected, rtol=1e-9)


def test_input_the_model_ignores_gets_nothing(built: Callable[[str], Built]) -> None:
    sample = built("digits")
    model = served(sample.folder)
    explanation = model.explain(model.bundle.columns, sample.rows(50, 51))
    constant = [place for place in range(64) if sample.frame.iloc[:, place].nunique() == 1]
    assert constant
    assert [explanation.shap_values[0][place] for place in constant] == pytest.approx([0.0] * len(constant), abs=1e-12)
    assert explanation.explained_labels == model.predict(model.bundle.columns, sample.rows(50, 51)).labels


def test_same_row_gets_the_same_explanation(built: Callable[[str], Built]) -> None:
    sample = built("logistic pipeline")
    first, second = (
        ServedModel(BuiltFiles(sample.folder)).explain(list(sample.frame.columns), sample.rows(7, 8)) for _ in "ab"
    )
    assert first == second


def test_what_came_with_one_request_is_kept_for_no_other(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["ridge"]()
    build(log(model, frame, flavor, tmp_path / "a", examples=0), tmp_path / "b", name="m", version=1)
    rows = frame.head(30).to_numpy().tolist()
    served, columns = ServedModel(BuiltFiles(tmp_path / "b")), list(frame.columns)
    before = served.explain(columns, rows[:1])
    sample = {"columns": columns, "rows": rows}
    with_rows = served.explain(columns, rows[:1], sample)
    assert gap(with_rows) <= 1e-6
    assert with_rows.background["source"] == "recent_inputs"
    assert served.explain(columns, rows[:1]) == before


def test_rows_of_one_request_change_no_other_explanation(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["ridge"]()
    build(log(model, frame, flavor, tmp_path / "a", examples=0), tmp_path / "b", name="m", version=1)
    served, columns, rows = (
        ServedModel(BuiltFiles(tmp_path / "b")),
        list(frame.columns),
        frame.head(60).to_numpy().tolist(),
    )
    ours, theirs = ({"columns": columns, "rows": part} for part in (rows[:30], rows[30:]))
    first = served.explain(columns, rows[:1], ours)
    assert served.explain(columns, rows[:1], theirs) != first
    assert served.explain(columns, rows[:1], ours) == first


def test_a_models_own_sample_is_stronger_than_one_that_comes_with_a_request(built: Callable[[str], Built]) -> None:
    sample = built("ridge")
    served, columns, rows = ServedModel(BuiltFiles(sample.folder)), list(sample.frame.columns), sample.rows(0, 2)
    assert served.explain(columns, rows, {"columns": columns, "rows": sample.rows(5, 25)}) == served.explain(
        columns, rows
    )


@pytest.mark.parametrize(
    "background",
    ["rows", {"rows": 3}, {"columns": [{}], "rows": [[0.0]]}, {"columns": ["a"], "rows": [[0.0]] * 101}],
)
def test_a_background_that_is_no_table_or_too_long_is_refused(tmp_path: Path, background: Any) -> None:
    model, frame, flavor = MODELS["ridge"]()
    build(log(model, frame, flavor, tmp_path / "a", examples=0), tmp_path / "b", name="m", version=1)
    served = ServedModel(BuiltFiles(tmp_path / "b"))
    with pytest.raises((BadInput, NoBackground)):
        served.explain(list(frame.columns), frame.head(1).to_numpy().tolist(), background)


def test_training_sample_beside_the_model_is_preferred_to_the_example(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["ridge"]()
    artifact = log(model, frame, flavor, tmp_path / "a")
    frame.tail(300).to_csv(artifact / "background.csv", index=False)
    build(artifact, tmp_path / "b", name="m", version=1)
    background = json.loads((tmp_path / "b" / "background.json").read_text())
    assert (background["source"], len(background["rows"])) == ("background.csv", 100)


def test_answers_that_are_not_numbers_are_not_explained(tmp_path: Path) -> None:
    _, frame, _ = MODELS["ridge"]()
    model = MeanShift().fit(frame)
    build(log(model, frame, "sklearn", tmp_path / "a"), tmp_path / "b", name="m", version=1)
    served_model = ServedModel(BuiltFiles(tmp_path / "b"))
    assert (served_model.bundle.task, read_bundle(BuiltFiles(tmp_path / "b")).engine) == ("raw", "process")
    assert served_model.predict(list(frame.columns), frame.head(2).to_numpy().tolist()).labels is None
    with pytest.raises(NotExplainable):
        served_model.explain(list(frame.columns), frame.head(2).to_numpy().tolist())


def test_attributions_that_do_not_add_up_are_an_error_not_an_answer(built: Callable[[str], Built]) -> None:
    model = served(built("ridge").folder)
    model.prepare_explanations()
    good = model._explainer
    assert good is not None

    class Off:
        name = "off"

        def __call__(self, rows: list[list[Any]]) -> tuple[Any, Any]:
            values, base = good._attributions[0](rows)
            return values + 1e-3, base

    broken = Explainer(good._native, good._inputs, good._form, [Off()])
    with pytest.raises(NotAdditive):
        broken.explain(built("ridge").rows(0, 1))
    assert not is_additive(np.ones((1, 2)), np.zeros(1), np.array([2.1]))
