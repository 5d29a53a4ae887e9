"""Tree SHAP by tables says what SHAP says, for trees that add up, with gaps, on thresholds and against any background."""

from typing import Any

import numpy as np
import pytest
import shap
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model_server.bundle import InputColumn
from model_server.engines.native import NativeModel, _task
from model_server.explain import leaf_tables
from model_server.explain.attributions import TableAttribution
from model_server.explain.explainer import Explanation, make_explainer

WIDTH = 6
INPUTS = tuple(InputColumn(f"x{place}", "double", required=False) for place in range(WIDTH))
DATA, NUMBERS = make_regression(300, WIDTH, n_informative=5, random_state=0)
POINTS, CLASSES = make_classification(300, WIDTH, n_informative=5, n_redundant=0, n_classes=3, random_state=0)
BACKGROUND, ROWS = DATA[:30], DATA[100:120]


def native(model: Any) -> NativeModel:
    task, labels = _task(model)
    return NativeModel(model, "sklearn", task, labels)


def explained(model: Any, rows: Any, background: Any = BACKGROUND) -> Explanation:
    explainer = make_explainer(native(model), INPUTS, "array", background.tolist())
    assert isinstance(explainer._attributions[0], TableAttribution)
    found = explainer.explain([[None if np.isnan(value) else value for value in row] for row in rows.tolist()])
    assert found.algorithm == "tree"
    return found


def by_shap(model: Any, rows: Any, background: Any = BACKGROUND) -> Any:
    explainer = shap.explainers.Exact(model.predict, shap.maskers.Independent(background, len(background)))
    return explainer(rows, silent=True).values


@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(12, max_depth=6, random_state=0),
        ExtraTreesRegressor(12, max_depth=5, random_state=0),
        GradientBoostingRegressor(n_estimators=30, max_depth=4, random_state=0),
        HistGradientBoostingRegressor(max_iter=30, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_values_are_those_of_shap_asking_the_model_for_every_coalition(model: Any) -> None:
    model.fit(DATA, NUMBERS)
    found = explained(model, ROWS)
    np.testing.assert_allclose(found.shap_values, by_shap(model, ROWS), atol=1e-4)
    np.testing.assert_allclose(found.base_values, np.mean(model.predict(BACKGROUND)), rtol=1e-6)


def test_classes_of_a_forest_are_shaps() -> None:
    model = RandomForestClassifier(20, max_depth=6, random_state=0).fit(POINTS, CLASSES)
    background, rows = POINTS[:40], POINTS[50:70]
    explainer = shap.TreeExplainer(model, background, model_output="probability", feature_perturbation="interventional")
    wanted = explainer.shap_values(rows, check_additivity=False).transpose(0, 2, 1)
    found = explained(model, rows, background)
    assert found.by_class is not None
    np.testing.assert_allclose(found.by_class["shap_values"], wanted, atol=1e-6)


def test_gaps_go_the_way_the_trees_send_them() -> None:
    data = np.where(np.random.default_rng(1).random(DATA.shape) < 0.2, np.nan, DATA)
    model = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(data, NUMBERS)
    background, rows = data[:25], data[60:80]
    assert np.isnan(background).any()
    found = explained(model, rows, background)
    np.testing.assert_allclose(found.shap_values, by_shap(model, rows, background), atol=1e-6)


def test_a_row_on_a_threshold_takes_the_models_side() -> None:
    model = HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(DATA, NUMBERS)
    nodes = [node for [tree] in model._predictors for node in tree.nodes if not node["is_leaf"]]
    rows = ROWS[: len(nodes[:8])].copy()
    for row, node in zip(rows, nodes[:8], strict=True):
        row[node["feature_idx"]] = node["num_threshold"]
    np.testing.assert_allclose(explained(model, rows).shap_values, by_shap(model, rows), atol=1e-6)


def test_one_row_is_explained_as_among_many() -> None:
    model = RandomForestRegressor(10, max_depth=5, random_state=0).fit(DATA, NUMBERS)
    every = explained(model, ROWS).shap_values
    np.testing.assert_array_equal(
        [explained(model, ROWS[place : place + 1]).shap_values[0] for place in (0, 7)], [every[0], every[7]]
    )


def test_what_does_not_add_up_or_would_be_too_large_is_left_to_shap(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = BACKGROUND.tolist()
    boosted = native(GradientBoostingClassifier(n_estimators=5).fit(POINTS, CLASSES))
    assert TableAttribution.of(boosted, INPUTS, rows) is None
    forest = native(RandomForestRegressor(5, random_state=0).fit(DATA, NUMBERS))
    assert TableAttribution.of(forest, INPUTS, rows) is not None
    monkeypatch.setattr(leaf_tables, "_MOST_CELLS", 100)
    assert TableAttribution.of(forest, INPUTS, rows) is None
    constant = native(RandomForestRegressor(5).fit(DATA, np.ones(len(DATA))))
    assert TableAttribution.of(constant, INPUTS, rows) is None


def test_rows_of_several_requests_are_explained_together_as_each_alone() -> None:
    model = RandomForestClassifier(20, max_depth=6, random_state=0).fit(POINTS, CLASSES)
    explainer = make_explainer(native(model), INPUTS, "array", POINTS[:20].tolist())
    assert explainer.joins
    parts = [POINTS[:1].tolist(), POINTS[1:4].tolist()]
    for together, rows in zip(explainer.together(parts), parts, strict=True):
        alone = explainer.explain(rows)
        assert together.explained_labels == alone.explained_labels
        for found, wanted in ((together.as_json(), alone.as_json()), (together.by_class, alone.by_class)):
            assert found is not None
            assert wanted is not None
            for name in ("shap_values", "base_values", "raw_output"):
                np.testing.assert_allclose(found[name], wanted[name], atol=1e-12)


def test_what_only_the_model_itself_can_say_is_explained_one_request_at_a_time() -> None:
    boosted = native(make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=5)).fit(POINTS, CLASSES))
    assert not make_explainer(boosted, INPUTS, "array", POINTS[:20].tolist()).joins
