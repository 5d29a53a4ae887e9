"""What is missing reaches a model as it was in training: NaN as pandas reads it from a file, None or NA where it was that."""

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from model_server.build.answers import settle
from model_server.build.missing import what_was_seen, with_missing
from model_server.build.schema import infer_inputs
from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel

ROWS = 120


def loans(missing: Any) -> tuple[pd.DataFrame, Any]:
    """Text, a boolean and a number, each with gaps; what is missing matters for the answer."""
    random = np.random.default_rng(5)
    gap = random.random(ROWS) < 0.3
    purpose = pd.Series(random.choice(["car", "house"], ROWS), dtype=object).mask(gap, missing)
    if missing is None:
        purpose = purpose.astype(object).where(purpose.notna(), None)
    member = pd.Series(random.random(ROWS) < 0.5, dtype=object).mask(random.random(ROWS) < 0.3, np.nan)
    frame = pd.DataFrame({"purpose": purpose, "member": member, "age": random.uniform(18, 80, ROWS)})
    return frame, (gap | (random.random(ROWS) < 0.2)).astype(int)


def one_hot() -> Any:
    return OneHotEncoder(handle_unknown="ignore")


def filled(value: Any = np.nan) -> Any:
    return make_pipeline(SimpleImputer(missing_values=value, strategy="constant", fill_value="unknown"), one_hot())


def fitted(text: Any, missing: Any, columns: list[str] | None = None) -> tuple[Any, pd.DataFrame]:
    frame, target = loans(missing)
    chosen = columns or ["purpose"]
    model = make_pipeline(ColumnTransformer([("t", text, chosen)]), LogisticRegression())
    return model.fit(frame, target), frame


def served(model: Any, frame: pd.DataFrame, asked: pd.DataFrame) -> Any:
    """Answer rows the way a bundle is served: by the signature, from JSON values."""
    native = NativeModel(model, "sklearn", "binary", (0, 1))
    inputs, _ = infer_inputs(infer_signature(frame).inputs.to_dict(), model)
    samples = [list(row) for row in Decoder(inputs).lists(list(frame.columns), as_json(frame.head(20)))]
    inputs = with_missing(native, inputs, samples)
    settled = settle(native, inputs, samples)
    return settled.native.outputs(table(inputs, as_json(asked), settled.form))[:, 1]


def as_json(frame: pd.DataFrame) -> list[list[Any]]:
    plain = frame.astype(object)
    return plain.where(plain.notna(), None).to_numpy().tolist()


SITUATIONS: dict[str, Callable[[], tuple[Any, pd.DataFrame]]] = {
    "an imputer fills NaN": lambda: fitted(filled(), np.nan),
    "an encoder learnt NaN": lambda: fitted(one_hot(), np.nan),
    "an encoder learnt None": lambda: fitted(one_hot(), None),
    "an imputer fills None": lambda: fitted(filled(None), None),
    "an imputer fills NA": lambda: fitted(filled(pd.NA), pd.NA),
    "an encoder of text and booleans": lambda: fitted(one_hot(), np.nan, ["purpose", "member"]),
    "an ordinal encoder": lambda: fitted(
        OrdinalEncoder(encoded_missing_value=-1, handle_unknown="use_encoded_value", unknown_value=-2),
        np.nan,
        ["purpose", "member"],
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_row_with_a_gap_is_answered_as_the_model_answers_its_training_frame(name: str) -> None:
    model, frame = SITUATIONS[name]()
    asked = frame.head(60)
    assert asked["purpose"].isna().any()
    np.testing.assert_allclose(served(model, frame, asked), model.predict_proba(asked)[:, 1], rtol=1e-9)


def test_a_row_is_answered_alike_alone_and_among_others() -> None:
    model, frame = SITUATIONS["an encoder of text and booleans"]()
    asked = frame.head(30)
    alone = [served(model, frame, asked.iloc[[place]])[0] for place in range(8)]
    np.testing.assert_allclose(alone, served(model, frame, asked)[:8], rtol=1e-9)


def test_columns_of_one_model_keep_their_own_kind() -> None:
    frame, target = loans(np.nan)
    frame["branch"] = frame["purpose"].astype(object).where(frame["purpose"].notna(), None)
    encode = make_column_transformer((one_hot(), ["purpose"]), (one_hot(), ["branch"]))
    model = make_pipeline(encode, LogisticRegression()).fit(frame, target)
    assert what_was_seen(model, list(frame.columns)) == {"purpose": {"nan"}, "branch": {"none"}}
    np.testing.assert_allclose(served(model, frame, frame), model.predict_proba(frame)[:, 1], rtol=1e-9)


def test_categories_of_pandas_take_text_with_gaps() -> None:
    frame, target = loans(np.nan)
    trained = frame[["purpose", "age"]].astype({"purpose": "category"})
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=20).fit(trained, target)
    logged = frame[["purpose", "age"]]
    np.testing.assert_allclose(served(model, logged, logged), model.predict_proba(trained)[:, 1], rtol=1e-9)


def test_a_library_that_takes_no_objects_gets_booleans_with_gaps_as_numbers() -> None:
    frame, target = loans(np.nan)
    trained = pd.DataFrame({"member": frame["member"].astype("boolean"), "age": frame["age"]})
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(trained, target)
    np.testing.assert_allclose(served(model, trained, trained), model.predict_proba(trained)[:, 1], rtol=1e-9)


def test_the_type_of_a_column_does_not_depend_on_the_rows() -> None:
    inputs = (
        InputColumn("text", "string", required=False),
        InputColumn("flag", "boolean", required=False),
        InputColumn("count", "long", required=False),
        InputColumn("small", "float", required=False),
        InputColumn("sure", "boolean"),
    )
    full, gaps = ["a", True, 2, 0.1, True], [None, None, None, None, False]
    types = [str(kind) for kind in table(inputs, [full], "frame").dtypes]
    assert types == ["object", "object", "float64", "float32", "bool"]
    both = table(inputs, [full, gaps], "frame")
    assert [str(kind) for kind in both.dtypes] == types
    assert both["flag"].tolist()[0] is True
    assert both.iloc[1, :4].isna().all()
    assert isinstance(both["text"][1], float), "NaN, not None"
    asked_for_none = table((InputColumn("t", "string", required=False, missing="none"),), [[None], ["a"]], "values")
    assert asked_for_none.tolist() == [None, "a"]
