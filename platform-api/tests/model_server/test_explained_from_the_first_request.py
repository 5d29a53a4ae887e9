"""A model that was logged without an example and without a sample is explained from its first request, and the answer says by what."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_models import MODELS, cancer, customers, diabetes, log
from sklearn.cluster import MeanShift
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_server.build.__main__ import build
from model_server.bundle import InputColumn
from model_server.engines.native import NativeModel
from model_server.explain.explainer import Explanation, NoBackground, NotExplainable
from model_server.explain.without_sample import WithoutSample
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

Logged = Callable[[Any, pd.DataFrame], tuple[ServedModel, list[str]]]


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    """Log a fitted model without an example, build and open it."""

    def make(model: Any, frame: pd.DataFrame) -> tuple[ServedModel, list[str]]:
        report = build(log(model, frame, "sklearn", tmp_path / "a", examples=0), tmp_path / "b", name="m", version=1)
        assert report.verdict == "built", report.sentence
        return ServedModel(BuiltFiles(tmp_path / "b")), list(frame.columns)

    return make


def rows_of(frame: pd.DataFrame, start: int, stop: int) -> list[list[Any]]:
    part = frame.iloc[start:stop].astype(object)
    return part.where(part.notna(), None).to_numpy().tolist()


def gap(explanation: Explanation) -> float:
    """How far the parts are from the whole, in the worst row."""
    found = np.array(explanation.base_values) + np.array(explanation.shap_values).sum(axis=1)
    return float(np.abs(found - np.array(explanation.raw_output)).max())


def says_something(explanation: Explanation) -> bool:
    return bool(np.abs(np.array(explanation.shap_values)).max() > 1e-6)


@pytest.mark.parametrize("name", ["scaled", "imputed"])
def test_a_pipeline_is_compared_with_the_means_it_kept_from_training(logged: Logged, name: str) -> None:
    frame, target = cancer()
    head = StandardScaler() if name == "scaled" else SimpleImputer(strategy="mean")
    model = make_pipeline(head, LogisticRegression(max_iter=3_000)).fit(frame, target)
    served, columns = logged(model, frame)
    explanation = served.explain(columns, rows_of(frame, 0, 1))
    assert explanation.background["source"] == "training_statistics"
    assert "mean or median" in explanation.background["detail"]
    assert gap(explanation) <= 1e-6
    assert says_something(explanation)
    # the base is what the model answers for the average training row
    average = model.predict_proba(frame.mean().to_frame().T)[0, 1]
    assert explanation.base_values[0] == pytest.approx(average, abs=1e-9)


def test_whole_numbers_stay_whole(logged: Logged) -> None:
    frame = pd.DataFrame({"visits": [1, 2, 4, 4], "age": [20.0, 30.0, 40.0, 50.0]})
    model = make_pipeline(StandardScaler(), Ridge()).fit(frame, [1.0, 2.0, 3.0, 4.0])
    served, columns = logged(model, frame)
    explanation = served.explain(columns, [[4, 50.0]])
    assert (explanation.background["source"], gap(explanation) <= 1e-6) == ("training_statistics", True)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (lambda: RandomForestClassifier(10, random_state=0), cancer),
        (lambda: RandomForestRegressor(10, random_state=0), diabetes),
    ],
)
def test_trees_that_answer_in_the_explained_space_need_no_rows(logged: Logged, kind: Any, data: Any) -> None:
    frame, target = data()
    served, columns = logged(kind().fit(frame, target), frame)
    explanation = served.explain(columns, rows_of(frame, 0, 3))
    assert (explanation.background["source"], explanation.background["rows"]) == ("training_trees", None)
    assert explanation.algorithm == "tree_path_dependent"
    assert gap(explanation) <= 1e-6
    assert says_something(explanation)
    # the base is the training rows' average, as the trees counted them
    assert explanation.base_values[0] == pytest.approx(float(np.mean(target)), abs=0.1 * np.abs(np.mean(target)))


def test_boosting_adds_up_margins_and_is_not_explained_by_its_trees_in_the_probability_space(logged: Logged) -> None:
    frame, target = cancer()
    served, columns = logged(GradientBoostingClassifier(n_estimators=10).fit(frame, target), frame)
    explanation = served.explain(columns, rows_of(frame, 0, 1))
    assert (explanation.background["source"], explanation.space) == ("zeros", "probability")
    assert gap(explanation) <= 1e-6


def test_a_model_that_keeps_nothing_is_compared_with_zeros_then_with_other_rows(logged: Logged) -> None:
    frame, target = diabetes()
    served, columns = logged(Ridge().fit(frame, target), frame)
    rows = rows_of(frame, 0, 30)
    first = served.explain(columns, rows[:1])
    assert (first.background["source"], first.background["rows"], gap(first) <= 1e-6) == ("zeros", 1, True)
    assert "no earlier rows are known yet" in first.background["detail"]
    assert says_something(first)

    together = served.explain(columns, rows[:5])
    assert (together.background["source"], together.background["rows"]) == ("this_request", 5)
    assert gap(together) <= 1e-6

    # a row says nothing about itself: neither as the only earlier one, nor sent five times
    for asked, recent in ((rows[:1], rows[:1]), (rows[:1] * 5, [])):
        alone = served.explain(columns, asked, {"columns": columns, "rows": recent} if recent else None)
        assert alone.background["source"] == "zeros"

    earlier = served.explain(columns, rows[:1], {"columns": columns, "rows": rows[:4]})
    assert (earlier.background["source"], earlier.background["rows"]) == ("recent_inputs", 3)
    many = served.explain(columns, rows[:1], {"columns": columns, "rows": rows})
    assert (many.background["source"], many.background["rows"]) == ("recent_inputs", 30)
    # of a few earlier rows and many in the request, the many say more
    assert served.explain(columns, rows[:20], {"columns": columns, "rows": rows[20:22]}).background["rows"] == 20


def test_text_is_left_as_it_is_and_gets_no_share(logged: Logged) -> None:
    frame, target = customers()
    frame = frame.drop(columns="spend")
    model = make_pipeline(_encoder(OneHotEncoder(handle_unknown="ignore")), LogisticRegression(max_iter=500)).fit(
        frame, target
    )
    served, columns = logged(model, frame)
    explanation = served.explain(columns, rows_of(frame, 0, 1))
    assert explanation.background["source"] == "zeros"
    assert explanation.shap_values[0][columns.index("plan")] == pytest.approx(0.0, abs=1e-12)
    assert gap(explanation) <= 1e-6


def _encoder(encode: Any) -> Any:
    from sklearn.compose import make_column_transformer

    return make_column_transformer((encode, ["plan"]), remainder="passthrough")


def test_a_first_row_of_zeros_has_nothing_to_compare_with(logged: Logged) -> None:
    frame, target = diabetes()
    served, columns = logged(Ridge().fit(frame, target), frame)
    with pytest.raises(NoBackground, match="Ask again"):
        served.explain(columns, [[0.0] * len(columns)])
    # and is explained as soon as another row is known
    recent = {"columns": columns, "rows": rows_of(frame, 0, 1)}
    assert served.explain(columns, [[0.0] * len(columns)], recent).background["source"] == "recent_inputs"


class Picky:
    """A regressor that refuses a price of zero."""

    def predict(self, rows: Any) -> Any:
        if not np.asarray(rows).all():
            raise ValueError("a price cannot be zero")
        return 1 / np.asarray(rows, dtype=np.float64).sum(axis=1)


def test_a_model_that_dislikes_zeros_costs_the_explanation_and_not_more() -> None:
    inputs = (InputColumn("price", "double", required=True), InputColumn("size", "double", required=True))
    explains = WithoutSample(NativeModel(Picky(), "sklearn", "regression", ()), inputs, "array")
    with pytest.raises(NoBackground, match="Ask again"):
        explains.explain([[2.0, 3.0]], [])
    assert explains.explain([[2.0, 3.0], [4.0, 1.0]], []).background["source"] == "this_request"
    assert explains.explain([[2.0, 3.0]], [[4.0, 1.0]]).background["source"] == "recent_inputs"


def test_answers_that_are_no_numbers_are_still_not_explained(logged: Logged) -> None:
    frame, _ = diabetes()
    served, columns = logged(MeanShift().fit(frame), frame)
    for rows in (rows_of(frame, 0, 1), rows_of(frame, 0, 5)):
        with pytest.raises(NotExplainable):
            served.explain(columns, rows)


def test_an_input_example_is_named_as_what_it_is(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["ridge"]()
    build(log(model, frame, flavor, tmp_path / "a"), tmp_path / "b", name="m", version=1)
    explanation = ServedModel(BuiltFiles(tmp_path / "b")).explain(list(frame.columns), rows_of(frame, 0, 1))
    assert explanation.background == {
        "source": "input_example",
        "rows": 40,
        "detail": "Compared with the input example logged with the model.",
    }


def test_explaining_two_requests_at_once_mixes_nothing(logged: Logged) -> None:
    from concurrent.futures import ThreadPoolExecutor

    frame, target = diabetes()
    served, columns = logged(Ridge().fit(frame, target), frame)
    rows = rows_of(frame, 0, 60)
    tables = [{"columns": columns, "rows": rows[:30]}, {"columns": columns, "rows": rows[30:]}]
    expected = [served.explain(columns, rows[:1], table) for table in tables]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda number: served.explain(columns, rows[:1], tables[number % 2]), range(40)))
    assert all(explanation == expected[number % 2] for number, explanation in enumerate(found))
