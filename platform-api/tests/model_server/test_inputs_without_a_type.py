"""What a signature does not say, or says in a way of its own, is read from the example, or refused with what to do."""

import json
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from model_server.build.__main__ import build
from model_server.build.example import refuse_local_times, typed_by
from model_server.build.report import Report
from model_server.build.schema import infer_inputs
from model_server.bundle import InputColumn
from model_server.engines.formulas import names_in
from model_server.refusals import Refused
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

random = np.random.default_rng(11)
ROWS = 200
CITIES = pd.Series(random.choice(["oslo", "rome", "lima"], ROWS))
SIZES = random.normal(50, 9, ROWS)
TARGET = ((SIZES > 50) ^ (CITIES == "rome")).astype(int)


def logged(model: Any, frame: pd.DataFrame, folder: Path, flavor: Any = mlflow.sklearn) -> Report:
    options = {"serialization_format": "cloudpickle"} if flavor is mlflow.sklearn else {}
    flavor.save_model(
        model, str(folder / "m"), signature=infer_signature(frame), input_example=frame, pip_requirements=[], **options
    )
    return build(folder / "m", folder / "bundle", name="m", version=1)


def test_a_column_of_a_type_mlflow_does_not_know_leaves_the_others_theirs(tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": CITIES, "count": random.integers(0, 9, ROWS).astype("uint64"), "size": SIZES})
    assert [entry["type"] for entry in infer_signature(frame).inputs.to_dict()] == ["any"]
    encode = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=999)).fit(frame, TARGET)
    report = logged(model, frame, tmp_path)
    assert report.verdict == "built", report.sentence
    served = ServedModel(BuiltFiles(tmp_path / "bundle"))
    assert [column.type for column in served.bundle.inputs] == ["string", "long", "double"]
    rows = json.loads(frame.head(20).to_json(orient="values", double_precision=15))
    answers = served.predict(list(frame.columns), rows).prediction
    assert answers == pytest.approx(model.predict_proba(frame.head(20))[:, 1], abs=1e-5)


@pytest.mark.parametrize("further", [0, 1])
def test_ordered_categories_of_lightgbm_are_answered(further: int, tmp_path: Path) -> None:
    ordered = pd.Categorical(CITIES, categories=["rome", "oslo", "lima", "never"], ordered=True)
    frame = pd.DataFrame({"city": ordered, "size": SIZES})
    if further:
        frame["kind"] = pd.Categorical(random.choice(["x", "y"], ROWS))
    model = lightgbm.LGBMClassifier(n_estimators=9, verbose=-1).fit(frame, TARGET)
    report = logged(model, frame, tmp_path, mlflow.lightgbm)
    assert report.verdict == "built", report.sentence
    plain = frame.head(20).astype({name: object for name in frame.columns if name != "size"}).to_numpy().tolist()
    answers = ServedModel(BuiltFiles(tmp_path / "bundle")).predict(list(frame.columns), plain).prediction
    assert answers == pytest.approx(model.predict_proba(frame.head(20))[:, 1], abs=1e-9)


def test_dates_of_a_time_zone_are_refused_by_the_build(tmp_path: Path) -> None:
    days = pd.Series(pd.date_range("2026-03-01", periods=ROWS, freq="7h", tz="Europe/Oslo"))
    frame = pd.DataFrame({"day": days, "size": SIZES})
    encode = make_column_transformer((FunctionTransformer(np.sqrt), ["size"]))
    report = logged(make_pipeline(encode, LogisticRegression()).fit(frame, TARGET), frame, tmp_path)
    assert (report.verdict, report.reason) == ("refused", "unsupported_input_type")
    assert "'day' are in a time zone (+01:00)" in report.sentence
    assert "tz_convert('UTC')" in report.sentence


@pytest.mark.parametrize(
    "written", ["2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z", None, 3]
)
def test_dates_of_utc_or_of_no_zone_are_taken(written: Any) -> None:
    refuse_local_times((["t"], [[written], []]), [InputColumn("t", "datetime"), InputColumn("u", "datetime")])


def test_names_of_several_levels_are_refused_by_the_build(tmp_path: Path) -> None:
    frame = pd.DataFrame(random.normal(size=(ROWS, 2)))
    frame.columns = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
    report = logged(LogisticRegression().fit(frame.to_numpy(), TARGET), frame, tmp_path)
    assert (report.verdict, report.reason) == ("refused", "unsupported_input_name")
    assert "['a', 'x'] is named by several values" in report.sentence


def test_types_are_read_from_an_example_of_the_models_own_columns() -> None:
    rows = [[1, 2.5, "x", True, None, 2**63, 1], [2, 3, None, False, None, 1, "x"]]
    found = typed_by((list("abcdefg"), rows), list("gfedcba"))
    assert found is not None
    kinds = {column.name: (column.type, column.required) for column in found}
    assert [column.name for column in found] == list("gfedcba")
    assert kinds == {
        "a": ("long", True),
        "b": ("double", True),
        "c": ("string", False),
        "d": ("boolean", True),
        "e": ("double", False),
        "f": ("double", True),
        "g": ("any", False),
    }
    for other in (None, (["a"], []), (["a", "z"], [[1, 2]]), (["a", "b"], [[1]])):
        assert typed_by(other, ["a", "b"]) is None


def test_an_input_of_any_kind_with_a_name_stays_one() -> None:
    inputs, origin = infer_inputs([{"type": "any", "name": "a", "required": True}], object())
    assert (inputs, origin) == ((InputColumn("a", "any", required=False, spec={"type": "any"}),), "signature")
    with pytest.raises(Refused, match="named by several"):
        infer_inputs([{"type": "double", "name": None, "required": True}], object())


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("y ~ C(plan, Treatment('b')) + a", {"plan", "a"}),
        ("y ~ bs(a, df=5, degree=degree) + Q('my col')", {"a", "degree", "my col"}),
        ("y ~ np.log(b) + log * C", {"b", "log", "C"}),
        ("a + b", {"a", "b"}),
    ],
)
def test_a_formulas_columns_are_what_is_neither_called_nor_a_value(formula: str, names: set[str]) -> None:
    assert names_in(formula) == names
