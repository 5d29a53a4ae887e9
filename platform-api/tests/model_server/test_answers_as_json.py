"""What JSON has no word for is not answered in words of its own: dates are ISO 8601, the rest is refused with what to do."""

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper

from model_server.build.__main__ import build
from model_server.bundle import InputColumn
from model_server.contract.problems import BadInput, ModelRefuses
from model_server.engines.answers import NotFinite, WrongAnswers, as_json
from model_server.engines.inputs import array
from model_server.engines.named import rows_of
from model_server.engines.pyfunc import _plain
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

DAY = dt.datetime(2026, 1, 5, 12)  # noqa: DTZ001 - frames hold dates of no zone


def objects(*values: Any) -> Any:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        (pd.Series([DAY, DAY]).to_numpy(), ["2026-01-05T12:00:00"] * 2),
        (np.array([DAY, "NaT"], dtype="datetime64[D]"), ["2026-01-05T00:00:00", None]),
        (objects(DAY, DAY.date(), pd.Timestamp(DAY)), ["2026-01-05T12:00:00", "2026-01-05", "2026-01-05T12:00:00"]),
        (objects(decimal.Decimal("1.5"), pd.NA, pd.NaT), [1.5, None, None]),
        (objects({"a": [np.int64(3), (DAY.date(),)]}, np.float32(0.5)), [{"a": [3, ["2026-01-05"]]}, 0.5]),
        (np.array(["é", "x"]), ["é", "x"]),
        (np.array([1, 2], dtype="uint8"), [1, 2]),
        (objects(np.datetime64(DAY, "ns")), ["2026-01-05T12:00:00"]),
        (objects(2**64 - 1, True), [2**64 - 1, True]),
    ],
)
def test_answers_are_said_as_json_says_them(answers: Any, wanted: list[Any]) -> None:
    assert as_json(answers).tolist() == wanted


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        (np.array([1, 2], dtype="timedelta64[s]"), WrongAnswers, "their seconds"),
        (objects(dt.timedelta(1)), WrongAnswers, "their seconds"),
        (np.array([1j]), WrongAnswers, "two numbers"),
        (objects({"a": 1j}), WrongAnswers, "two numbers"),
        (np.array([b"ab"]), WrongAnswers, "base64"),
        (objects(b"ab"), WrongAnswers, "base64"),
        (objects({1, 2}), WrongAnswers, "a set"),
        (objects(2**70), NotFinite, "64 bits"),
        (np.array(["\ud800"]), NotFinite, "half a character"),
        (objects(["\ud800"]), NotFinite, "half a character"),
    ],
)
def test_what_json_has_no_word_for_is_no_answer(answers: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        as_json(answers)


def test_named_answers_are_said_alike_and_two_of_one_name_are_none() -> None:
    assert rows_of({"day": pd.Series([DAY])}).tolist() == [{"day": "2026-01-05T12:00:00"}]
    with pytest.raises(WrongAnswers, match="one name"):
        _plain(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.slow
def test_a_model_without_an_answer_to_its_first_example_names_the_rows_it_refuses(tmp_path: Path) -> None:
    class Days(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # MLflow has no type hints for it
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return [None if age < 0 else pd.Timestamp(2026, 1, 1 + int(age)) for age in model_input["age"]]

    frame = pd.DataFrame({"age": [-1.0, 1.0, 2.0]})
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Days(), input_example=frame, pip_requirements=[])
    report = build(tmp_path / "m", tmp_path / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model_server.engines.native.demand_for_code", lambda: None)
        served = ServedModel(BuiltFiles(tmp_path / "bundle"))
        assert served.predict(["age"], [[1.0]]).prediction == ["2026-01-02T00:00:00"]
        with pytest.raises(ModelRefuses, match=r"row 1: 'age' is -3\.0"):
            served.predict(["age"], [[1.0], [-3.0]])


def test_whole_numbers_of_a_table_stay_whole() -> None:
    longs = (InputColumn("a", "long"), InputColumn("b", "integer"))
    assert array(longs, [[2**60 + 1, 3]]).tolist() == [[2**60 + 1, 3]]
    kinds = {
        "int32": (InputColumn("a", "integer"),),
        "float32": (InputColumn("a", "float"), InputColumn("b", "float", required=False)),
        "float64": (InputColumn("a", "long"), InputColumn("b", "long", required=False)),
    }
    for kind, inputs in kinds.items():
        assert array(inputs, [[1] * len(inputs)]).dtype == kind
    assert array((InputColumn("a", "long"), InputColumn("b", "double")), [[1, 0.5]]).dtype == "float64"


def test_a_graph_of_whole_numbers_answers_large_ones_and_refuses_what_is_missing(tmp_path: Path) -> None:
    shape = [helper.make_tensor_value_info(name, TensorProto.INT64, [None, 2]) for name in ("n", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["n"], ["y"])], "same", shape[:1], shape[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    mlflow.onnx.save_model(model, str(tmp_path / "m"), pip_requirements=[])
    report = build(tmp_path / "m", tmp_path / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    served = ServedModel(BuiltFiles(tmp_path / "bundle"))
    rows = [[2**60 + 1, 0], [-(2**63), 2**63 - 1]]
    assert served.predict(["x0", "x1"], rows).prediction == rows
    with pytest.raises(BadInput, match="'x1' is null"):
        served.predict(["x0", "x1"], [[1, 2], [3, None]])
