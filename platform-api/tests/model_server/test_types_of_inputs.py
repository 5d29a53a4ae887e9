"""Every type of MLflow's signature reaches the model as what it was trained with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_server.build.__main__ import build
from model_server.build.schema import infer_inputs
from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder
from model_server.contract.problems import BadInput, ModelRefuses
from model_server.engines.inputs import table
from model_server.serve.protocols import v2_metadata
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

random = np.random.default_rng(7)
PLAIN = pd.DataFrame({"city": random.choice(["oslo", "rome", "lima"], 300), "size": random.normal(50, 12, 300)})
TARGET = ((PLAIN["size"] > 50) ^ (PLAIN.city == "rome")).astype(int)
CATEGORIES = PLAIN.assign(city=PLAIN.city.astype("category"))
FEW = CATEGORIES.head(3)


def served(model: Any, flavor: Any, example: pd.DataFrame, folder: Path, **options: Any) -> ServedModel:
    flavor.save_model(model, folder / "model", input_example=example, pip_requirements=["scikit-learn"], **options)
    report = build(folder / "model", folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return ServedModel(BuiltFiles(folder / "bundle"))


BOOSTERS: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], Any]]] = {
    "lightgbm": (
        lambda: lightgbm.LGBMClassifier(n_estimators=9, verbose=-1).fit(CATEGORIES, TARGET),
        mlflow.lightgbm,
        lambda model: model.predict_proba(FEW)[:, 1],
    ),
    "lightgbm booster": (
        lambda: lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(CATEGORIES, TARGET), 9),
        mlflow.lightgbm,
        lambda model: model.predict(FEW),
    ),
    "xgboost": (
        lambda: xgboost.XGBClassifier(n_estimators=9, enable_categorical=True).fit(CATEGORIES, TARGET),
        mlflow.xgboost,
        lambda model: model.predict_proba(FEW)[:, 1],
    ),
    "xgboost booster": (
        lambda: xgboost.train(
            {"objective": "binary:logistic"}, xgboost.DMatrix(CATEGORIES, TARGET, enable_categorical=True), 9
        ),
        mlflow.xgboost,
        lambda model: model.predict(xgboost.DMatrix(FEW, enable_categorical=True)),
    ),
}


@pytest.mark.parametrize("kind", BOOSTERS)
def test_a_booster_takes_the_names_of_its_categories(kind: str, tmp_path: Path) -> None:
    train, flavor, own = BOOSTERS[kind]
    model = train()
    asked = served(model, flavor, CATEGORIES.head(40), tmp_path)
    rows = PLAIN.head(3).to_numpy().tolist()
    assert asked.predict(["city", "size"], rows).prediction == pytest.approx(own(model), abs=1e-6)
    # any order of the columns
    turned = [row[::-1] for row in rows]
    assert asked.predict(["size", "city"], turned).prediction == pytest.approx(own(model), abs=1e-6)
    assert len(asked.predict(["city", "size"], [[None, 1.0]]).prediction) == 1
    with pytest.raises(BadInput, match="'city' must be text"):
        asked.predict(["city", "size"], [[3, 1.0]])


def test_xgboost_refuses_a_category_it_never_saw(tmp_path: Path) -> None:
    train, flavor, _ = BOOSTERS["xgboost"]
    asked = served(train(), flavor, CATEGORIES.head(40), tmp_path)
    with pytest.raises(ModelRefuses, match="row 1: 'city' is \"tokyo\""):
        asked.predict(["city", "size"], [["oslo", 1.0], ["tokyo", 1.0]])


def test_scikit_learns_boosting_of_categories_is_served_from_text(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=9).fit(CATEGORIES, TARGET)
    asked = served(model, mlflow.sklearn, CATEGORIES.head(40), tmp_path, serialization_format="cloudpickle")
    answers = asked.predict(["city", "size"], PLAIN.head(3).to_numpy().tolist()).prediction
    assert answers == pytest.approx(model.predict_proba(FEW)[:, 1], abs=1e-9)


def test_dates_are_served_from_iso_8601(tmp_path: Path) -> None:
    days = pd.to_datetime("2026-01-01") + pd.to_timedelta(random.integers(0, 5, 200), unit="D")
    frame = pd.DataFrame({"day": days, "x": random.normal(size=200)})
    prepare = ColumnTransformer([("day", OneHotEncoder(handle_unknown="ignore"), ["day"]), ("x", "passthrough", ["x"])])
    model = make_pipeline(prepare, LogisticRegression()).fit(frame, (frame.day.dt.day > 3).astype(int))
    asked = served(model, mlflow.sklearn, frame.head(20), tmp_path, serialization_format="cloudpickle")
    assert [tensor["datatype"] for tensor in v2_metadata(asked.bundle, None)["inputs"]] == ["BYTES", "FP64"]
    want = model.predict_proba(pd.DataFrame({"day": [pd.Timestamp("2026-01-05")], "x": [0.1]}))[:, 1]
    for written in ("2026-01-05T00:00:00", "2026-01-05", "2026-01-05 00:00:00.000", "2026-01-05T02:00:00+02:00"):
        assert asked.predict(["day", "x"], [[written, 0.1]]).prediction == pytest.approx(want)
    for wrong in ("yesterday", 1767571200, "2026-13-01", "1500-01-01", "2026-01-05T00:00:00.1234567"):
        with pytest.raises(BadInput, match="'day'"):
            asked.predict(["day", "x"], [[wrong, 0.1]])


SIGNATURE = [
    {"name": "list", "type": "array", "items": {"type": "double"}, "required": True},
    {
        "name": "who",
        "type": "object",
        "properties": {"name": {"type": "string", "required": True}, "age": {"type": "long", "required": False}},
        "required": True,
    },
    {"name": "counts", "type": "map", "values": {"type": "long"}, "required": False},
    {"name": "free", "type": "any", "required": True},
    {"name": "raw", "type": "binary", "required": True},
]
NESTED = {"list": [1, 2.5], "who": {"name": "ana"}, "counts": {"a": 3.0}, "free": {"x": [None, True]}, "raw": "AAE="}


def nested_inputs() -> tuple[InputColumn, ...]:
    return infer_inputs(SIGNATURE, object())[0]


def test_nested_values_are_checked_to_their_leaves_and_kept() -> None:
    [row] = Decoder(nested_inputs()).rows(NESTED)
    assert row == ([1.0, 2.5], {"name": "ana"}, {"a": 3}, {"x": [None, True]}, "AAE=")
    frame = table(nested_inputs(), [row], "frame")
    assert frame.raw[0] == b"\x00\x01"
    assert frame.who[0] == {"name": "ana"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"list": [1, "a"]}, "'list' at 1 must be a number"),
        ({"list": 3}, "'list' must be a list"),
        ({"who": {"age": 3}}, "'who' lacks the member 'name'"),
        ({"who": {"name": "a", "x": 1}}, "unknown member 'x'"),
        ({"counts": {"a": 2.5}}, "'counts' at \"a\" must be a whole number"),
        ({"counts": {"a": 2**63}}, "does not fit 64 bits"),
        ({"free": float("nan")}, "not a finite number"),
        ({"free": "\ud800"}, "surrogate"),
        ({"raw": "not base64!"}, "is not base64"),
    ],
)
def test_what_is_wrong_inside_is_said(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Decoder(nested_inputs()).rows({**NESTED, **change})


def test_a_tensor_keeps_its_shape() -> None:
    entry = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 3]}}
    inputs, _ = infer_inputs([entry], object())
    decoder = Decoder(inputs)
    image = [[1, 2, 3], [4, 5, 6]]
    rows = decoder.rows([image, image])
    assert table(inputs, rows, "tensor").shape == (2, 2, 3)
    assert table(inputs, rows, "tensor").dtype == np.float32
    for wrong in ([[1, 2, 3]], [[1, 2], [3, 4]], [[1, 2, "x"], [1, 2, 3]], 3):
        with pytest.raises(BadInput):
            decoder.rows([wrong])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1, "a": 2}', "named twice"),
        (b'[{"a": 1}, {"a": 1, "a": 2}]', "named twice"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "not a finite number"),
        (b'{"a": NaN}', "not a finite number"),
        (b'{"b": 1}', "did you mean|missing"),
    ],
)
def test_json_is_read_strictly(body: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Decoder([InputColumn("a", "double")]).decode(body)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    decoder = Decoder([InputColumn("a", "long"), InputColumn("b", "integer", required=False)])
    assert decoder.decode(b'{"a": 3.0, "b": 2e0}') == [(3, 2)]
    assert decoder.decode(b'[{"b": null, "a": 3}]') == [(3, None)]
    with pytest.raises(BadInput, match="'b' does not fit 32 bits"):
        decoder.decode(b'{"a": 3, "b": 2147483648}')


def test_further_values_are_ignored_where_the_owner_chose_it() -> None:
    columns = [InputColumn("a", "double")]
    assert Decoder(columns, "ignore").decode(b'{"a": 1, "request_id": "x"}') == [(1.0,)]
    with pytest.raises(BadInput, match="is not an input of this model"):
        Decoder(columns).decode(b'{"a": 1, "request_id": "x"}')


OPEN = (InputColumn("x", "tensor", spec={"type": "tensor", "dtype": "string", "shape": [-1, -1]}),)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[[["a"]]], [[["a", "b"]]]], r"row 1: 'x' has the shape \[1, 2\], the first row \[1, 1\]"),
        ([[[["a"]]], [[["a", "b"], ["c"]]]], "row 1: 'x' is ragged"),
        ([[[["a", "b"], ["c"]]]], "row 0: 'x' is ragged"),
    ],
)
def test_rows_of_one_request_are_one_tensor(rows: list[list[Any]], said: str) -> None:
    assert table(OPEN, [[[["a", "b"]]], [[["c", "d"]]]], "tensor").shape == (2, 1, 2)
    with pytest.raises(BadInput, match=said):
        table(OPEN, rows, "tensor")
