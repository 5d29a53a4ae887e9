"""Text that may be missing is compiled where encoders and imputers say what becomes of it; else the report says why not."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_models import log
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from mlops_platform.predictions.engine import OnnxModel, describe
from model_server.build.__main__ import build
from model_server.engines.texts import STAND_IN
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

ROWS = 160
Model = tuple[Any, pd.DataFrame]


def customers(missing: Any = np.nan) -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(11)
    plan = random.choice(["basic", "plus", "max"], ROWS).astype(object)
    plan[random.random(ROWS) < 0.25] = missing
    city = random.choice(["oslo", "rome"], ROWS).astype(object)
    city[random.random(ROWS) < 0.1] = missing
    frame = pd.DataFrame(
        {
            "plan": pd.Series(plan, dtype=object),
            "city": pd.Series(city, dtype=object),
            "kind": random.choice(["new", "old"], ROWS),
            "age": random.uniform(18, 80, ROWS),
        }
    )
    return frame, (frame["plan"].isna() ^ (frame["age"] > 50) ^ (random.random(ROWS) < 0.1)).astype(int)


def fitted(part: Any, columns: list[str] | str, missing: Any = np.nan, last: Any = None) -> Model:
    frame, target = customers(missing)
    encode = make_column_transformer(
        (part, columns), (OneHotEncoder(handle_unknown="ignore"), ["kind"]), remainder="passthrough", sparse_threshold=0
    )
    if {"plan", "city"} - {columns if isinstance(columns, str) else "", *columns}:
        encode.set_params(remainder="drop")
    return make_pipeline(encode, last or LogisticRegression()).fit(frame, target), frame


def one_hot(**options: Any) -> Any:
    return OneHotEncoder(handle_unknown="ignore", **options)


def ordinal(**options: Any) -> Any:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-2, **options)


def trees() -> Any:
    return HistGradientBoostingClassifier(max_iter=20)


BOTH = ["plan", "city"]
COMPILED: dict[str, Callable[[], Model]] = {
    "an encoder learnt NaN": lambda: fitted(one_hot(), BOTH),
    "an encoder learnt None": lambda: fitted(one_hot(), BOTH, None),
    "an encoder drops the first": lambda: fitted(OneHotEncoder(drop="first", handle_unknown="ignore"), BOTH),
    "an ordinal encoder codes it": lambda: fitted(ordinal(encoded_missing_value=-1), BOTH),
    "an ordinal encoder leaves it": lambda: fitted(ordinal(), BOTH, last=trees()),
    "a target encoder": lambda: fitted(TargetEncoder(), BOTH),
    "an imputer fills a constant": lambda: fitted(
        make_pipeline(SimpleImputer(strategy="constant", fill_value="unknown"), one_hot()), BOTH
    ),
    "an imputer fills the commonest": lambda: fitted(
        make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()), BOTH
    ),
    "an imputer fills None": lambda: fitted(
        make_pipeline(SimpleImputer(missing_values=None, strategy="most_frequent"), ordinal()), BOTH, None
    ),
}


def built(model: Any, frame: pd.DataFrame, folder: Path) -> tuple[Path, dict[str, Any]]:
    log(model, frame, "sklearn", folder / "artifact", predicted=model.predict(frame.iloc[5:]))
    report = build(folder / "artifact", folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return folder / "bundle", {step["name"]: step for step in report.steps}


def as_json(frame: pd.DataFrame) -> list[list[Any]]:
    plain = frame.astype(object)
    return plain.where(plain.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize("name", COMPILED)
def test_what_encoders_and_imputers_make_of_a_gap_is_compiled(name: str, tmp_path: Path) -> None:
    model, frame = COMPILED[name]()
    bundle, steps = built(model, frame, tmp_path)
    assert json.loads((bundle / "bundle.json").read_text())["engine"] == "onnx", (steps["compile"], steps.get("parity"))
    wanted = model.predict_proba(frame)[:, 1]
    served = ServedModel(BuiltFiles(bundle))
    np.testing.assert_allclose(served.predict(list(frame.columns), as_json(frame)).prediction, wanted, atol=1e-5)
    graph = OnnxModel(BuiltFiles(bundle), describe(BuiltFiles(bundle)))
    rows = graph.decoder.lists(list(frame.columns), as_json(frame))
    np.testing.assert_allclose(graph.predict(rows)[0], wanted, atol=1e-5)
    np.testing.assert_allclose([graph.predict([row])[0][0] for row in rows[:20]], wanted[:20], atol=1e-5)


def test_a_text_like_the_stand_in_is_not_taken_for_a_gap(tmp_path: Path) -> None:
    model, frame = COMPILED["an encoder learnt NaN"]()
    bundle, _ = built(model, frame, tmp_path)
    graph = OnnxModel(BuiltFiles(bundle), describe(BuiltFiles(bundle)))
    for text in (STAND_IN, STAND_IN * 2, f"{STAND_IN}0"):
        asked = frame.head(1).assign(plan=text)
        [row] = graph.decoder.lists(list(frame.columns), as_json(asked))
        assert graph.predict([row])[0] == pytest.approx(model.predict_proba(asked)[:, 1], abs=1e-5), text
        gap = asked.assign(plan=pd.Series([np.nan], dtype=object))
        assert graph.predict([row])[0] != pytest.approx(model.predict_proba(gap)[:, 1], abs=1e-3)


@pytest.mark.parametrize("kind", ["words", "strict"])
def test_a_gap_that_the_model_refuses_is_refused_with_row_and_column(kind: str, tmp_path: Path) -> None:
    frame, target = customers()
    whole = frame.dropna()
    part, column = (TfidfVectorizer(), "city") if kind == "words" else (OneHotEncoder(), ["city"])
    model = make_pipeline(make_column_transformer((part, column), sparse_threshold=0), LogisticRegression())
    model.fit(whole, target[whole.index])
    # the example has no gaps, the signature allows them
    logged = pd.concat([whole, frame[frame.isna().any(axis=1)]])
    log(model, logged, "sklearn", tmp_path / "artifact", predicted=model.predict(whole))
    report = build(tmp_path / "artifact", tmp_path / "bundle", name="m", version=1)
    steps = {step["name"]: step for step in report.steps}
    description = describe(BuiltFiles(tmp_path / "bundle"))
    assert description.engine == "onnx", (steps["compile"], steps.get("parity"))
    graph = OnnxModel(BuiltFiles(tmp_path / "bundle"), description)
    rows = graph.decoder.lists(list(frame.columns), as_json(whole.head(3).assign(city=["oslo", None, "rome"])))
    with pytest.raises(ValueError, match="missing"):
        graph.predict(rows)
    refused = graph.refusal(rows)
    assert refused is not None
    [problem] = refused.problems
    assert (problem.row, problem.column) == (1, "city")
    answered = whole.head(20)
    found = graph.predict(graph.decoder.lists(list(frame.columns), as_json(answered)))[0]
    np.testing.assert_allclose(found, model.predict_proba(answered)[:, 1], atol=1e-5)


def two_kinds() -> Model:
    frame, target = customers()
    frame.loc[frame.index[:5], "plan"] = None
    frame["plan"] = frame["plan"].astype(object)
    encode = make_column_transformer((one_hot(), BOTH), sparse_threshold=0)
    return make_pipeline(encode, LogisticRegression()).fit(frame, target), frame


NATIVE: dict[str, tuple[Callable[[], Model], str]] = {
    "two kinds of gaps": (two_kinds, "several kinds of missing text"),
    "codes that its graph has as whole numbers": (
        lambda: fitted(OrdinalEncoder(), BOTH, last=trees()),
        "whole numbers only",
    ),
    "an indicator of gaps": (
        lambda: fitted(
            make_pipeline(SimpleImputer(strategy="most_frequent", add_indicator=True), one_hot()),
            BOTH,
            last=LogisticRegression(max_iter=2_000),
        ),
        "",
    ),
}


@pytest.mark.parametrize("name", NATIVE)
def test_what_a_graph_cannot_say_is_served_natively_and_one_sentence_says_why(name: str, tmp_path: Path) -> None:
    make, words = NATIVE[name]
    model, frame = make()
    bundle, steps = built(model, frame, tmp_path)
    assert json.loads((bundle / "bundle.json").read_text())["engine"] == "process"
    said = steps["compile"]["detail"] if steps["compile"]["status"] == "warning" else steps["parity"]["detail"]
    assert re.search(words or "served by its own library", said), said
    assert "\n" not in said
    assert not words or said.count(words) == 1, "both attempts stopped for one reason, which is said once"
    served = ServedModel(BuiltFiles(bundle))
    answers = served.predict(list(frame.columns), as_json(frame.iloc[5:60])).prediction
    np.testing.assert_allclose(answers, model.predict_proba(frame.iloc[5:60])[:, 1], atol=1e-5)
