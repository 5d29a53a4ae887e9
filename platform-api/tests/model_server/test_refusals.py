"""What the model itself refuses is said with the row and the column, compiled or not; what it has failed at is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_models import log
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from mlops_platform.predictions.engine import OnnxModel, describe
from model_server.build.__main__ import build
from model_server.build.odd_rows import odd_rows
from model_server.build.parity import answers_of
from model_server.bundle import InputColumn
from model_server.contract.problems import BadInput, ModelRefuses
from model_server.contract.refusing import refusal
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

random = np.random.default_rng(7)
FRAME = pd.DataFrame({"city": random.choice(["oslo", "rome", "lima"], 200), "size": random.normal(50, 12, 200)})
TARGET = ((FRAME["size"] > 50) ^ (FRAME.city == "rome")).astype(int)
GOOD, UNSEEN = {"city": "oslo", "size": 55.0}, {"city": "tokyo", "size": 55.0}


def served(model: Any, frame: pd.DataFrame, folder: Path) -> ServedModel:
    report = build(log(model, frame, "sklearn", folder / "artifact"), folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return ServedModel(BuiltFiles(folder / "bundle"))


def encoded(encoder: Any, model: Any) -> Any:
    prepare = ColumnTransformer([("city", encoder, ["city"]), ("size", "passthrough", ["size"])])
    return make_pipeline(prepare, model).fit(FRAME, TARGET)


def ask(model: ServedModel, rows: list[dict[str, Any]]) -> Any:
    names = list(rows[0])
    return model.predict(names, [[row[name] for name in names] for row in rows]).prediction


def problems(model: ServedModel, rows: list[dict[str, Any]]) -> list[tuple[int | None, str | None]]:
    with pytest.raises(ModelRefuses) as refused:
        ask(model, rows)
    return [(problem.row, problem.column) for problem in refused.value.problems]


@pytest.fixture(scope="module")
def one_hot(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return served(encoded(OneHotEncoder(), LogisticRegression()), FRAME, tmp_path_factory.mktemp("m"))


def test_a_compiled_model_names_the_row_and_the_column(one_hot: ServedModel) -> None:
    assert one_hot.bundle.onnx is not None
    assert problems(one_hot, [UNSEEN]) == [(None, "city")]
    assert problems(one_hot, [GOOD, UNSEEN, GOOD, {**GOOD, "city": ""}]) == [(1, "city"), (3, "city")]


def test_the_engine_in_the_api_says_the_same(one_hot: ServedModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = BuiltFiles(one_hot._files.folder)  # type: ignore[attr-defined]  # BuiltFiles
    here = OnnxModel(files, describe(files))
    rows = here.decoder.rows([GOOD, UNSEEN])
    with pytest.raises(Exception, match="OneHotEncoder"):
        here.predict(rows)
    refused = here.refusal(rows)
    assert refused is not None
    with pytest.raises(ModelRefuses) as there:
        ask(one_hot, [GOOD, UNSEEN])
    assert refused.problems == there.value.problems


def test_a_graph_that_answers_what_the_model_refuses_is_not_served(tmp_path: Path) -> None:
    model = served(encoded(OrdinalEncoder(), RandomForestClassifier(10, max_depth=5, random_state=1)), FRAME, tmp_path)
    assert model.bundle.onnx is None
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    [parity] = [step for step in report["steps"] if step["name"] == "parity"]
    assert parity["one_refuses"] > 0
    assert "refused by one and answered by the other" in parity["detail"]
    assert problems(model, [UNSEEN]) == [(None, "city")]


def test_an_answer_that_is_no_number_is_a_refusal_of_its_row(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": random.uniform(1, 9, 60), "b": random.normal(size=60)})
    logarithm = ColumnTransformer([("a", FunctionTransformer(np.log), ["a"]), ("b", "passthrough", ["b"])])
    model = served(make_pipeline(logarithm, LinearRegression()).fit(frame, frame.a), frame, tmp_path)
    assert problems(model, [{"a": 2.0, "b": 1.0}, {"a": -1.0, "b": 1.0}]) == [(1, "a")]


COLUMNS = (InputColumn("a", "double"), InputColumn("b", "double"))


def test_a_model_that_answers_nothing_has_failed_and_the_rows_are_not_to_blame() -> None:
    def broken(_rows: Any) -> None:
        raise ValueError

    assert refusal(broken, [(1.0, 2.0)], COLUMNS, [(0.0, 0.0)]) is None


def test_memory_that_runs_out_is_no_refusal() -> None:
    def large(rows: Any) -> None:
        if (1.0, 2.0) in rows:
            raise MemoryError

    with pytest.raises(MemoryError):
        refusal(large, [(1.0, 2.0)], COLUMNS, [(0.0, 0.0)])


def test_a_combination_of_values_is_named_by_its_row_and_no_column_of_it() -> None:
    def fails_for_equal(rows: Any) -> None:
        if any(a == b != 0 for a, b in rows):
            raise ValueError("[12:00:00] /src/x.cc:29: equal\nStack trace: secret")

    # each value alone may be replaced to mend it: the first is named
    refused = refusal(fails_for_equal, [(1.0, 2.0), (3.0, 3.0)], COLUMNS, [(0.0, 0.0)])
    assert refused is not None
    assert [(problem.row, problem.column) for problem in refused.problems] == [(1, "a")]
    assert "secret" not in str(refused)
    assert "/src" not in str(refused)

    def never_with_zero(rows: Any) -> None:
        if any(row != (0.0, 0.0) for row in rows):
            raise KeyError

    alone = refusal(never_with_zero, [(1.0, 2.0)], COLUMNS, [(0.0, 0.0)])
    assert alone is not None
    assert alone.problems[0].column is None


def test_a_poisoned_row_takes_no_other_answers_with_it_in_the_proof() -> None:
    def halves(rows: Any) -> tuple[Any, list[Any]]:
        if any(row[0] == 13 for row in rows):
            raise ValueError
        return np.array([[row[0] / 2] for row in rows]), [None] * len(rows)

    outputs, _ = answers_of(halves, [[float(value)] for value in range(20)])
    assert np.isnan(outputs[13]).all()
    assert outputs[[0, 12, 14, 19], 0].tolist() == [0.0, 6.0, 7.0, 9.5]
    with pytest.raises(ValueError, match=""):
        answers_of(halves, [[13.0]])


def test_odd_rows_differ_from_the_example_in_one_value_each() -> None:
    base = [["oslo", 1.0, 3, True], ["rome", 2.0, 4, False]]
    columns = tuple(
        InputColumn(name, kind) for name, kind in zip("abcd", ("string", "double", "long", "boolean"), strict=True)
    )
    rows = odd_rows(columns, base)
    assert all(sum(value != known for value, known in zip(row, base[0], strict=True)) <= 1 for row in rows)
    assert any(row[0] == "" for row in rows)


@pytest.mark.parametrize("rows", [[{"city": "oslo"}], [{"city": 3, "size": 1.0}], [{**GOOD, "colour": 1}]])
def test_what_does_not_fit_the_schema_is_not_called_a_refusal_of_the_model(
    one_hot: ServedModel, rows: list[dict[str, Any]]
) -> None:
    with pytest.raises(BadInput) as refused:
        ask(one_hot, rows)
    assert not isinstance(refused.value, ModelRefuses)
