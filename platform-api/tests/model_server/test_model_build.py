"""The build compiles what it can, proves it, and says so when it cannot."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_models import MODELS, Built, log

from mlops_platform.kit.digests import tree_digest as platform_digest
from mlops_platform.predictions.engine import OnnxModel, describe
from model_server.build.__main__ import build, main
from model_server.bundle import read_bundle
from model_server.digests import tree_digest
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

COMPILED = [name for name in MODELS if name != "categorical splits"]


@pytest.mark.parametrize("name", COMPILED)
def test_model_is_compiled_and_agrees_with_its_own_library(built: Callable[[str], Built], name: str) -> None:
    sample = built(name)
    bundle = read_bundle(BuiltFiles(sample.folder))
    assert bundle.engine == "onnx", sample.step("compile")
    assert sample.step("parity")["proven"]
    served = ServedModel(BuiltFiles(sample.folder))
    answer = served.predict(bundle.columns, sample.rows(0, 200)).prediction
    part = sample.frame.head(200)
    if bundle.task == "regression":
        np.testing.assert_allclose(answer, sample.model.predict(part), rtol=1e-5)
    elif hasattr(sample.model, "predict_proba"):
        expected = sample.model.predict_proba(part)
        np.testing.assert_allclose(answer, expected[:, 1] if bundle.task == "binary" else expected, atol=1e-5)
    else:
        np.testing.assert_allclose(answer, sample.model.predict(part), atol=1e-5)


def test_a_label_is_the_models_own_even_where_its_probabilities_favour_another(built: Callable[[str], Built]) -> None:
    sample = built("two minds")
    unseen = pd.DataFrame(np.random.default_rng(7).normal(size=(200, 4)), columns=sample.frame.columns)
    labels = sample.model.predict(unseen).tolist()
    assert labels != sample.model.predict_proba(unseen).argmax(axis=1).tolist()
    rows = unseen.to_numpy().tolist()
    assert ServedModel(BuiltFiles(sample.folder)).predict(list(sample.frame.columns), rows).labels == labels
    engine = OnnxModel(BuiltFiles(sample.folder), describe(BuiltFiles(sample.folder)))
    assert engine.predict([tuple(row) for row in rows])[1] == labels


@pytest.mark.parametrize("name", COMPILED)
def test_both_ways_of_serving_answer_alike(built: Callable[[str], Built], name: str) -> None:
    sample = built(name)
    served = ServedModel(BuiltFiles(sample.folder)).predict(list(sample.frame.columns), sample.rows(0, 30))
    engine = OnnxModel(BuiltFiles(sample.folder), describe(BuiltFiles(sample.folder)))
    rows = [tuple(row) for row in sample.rows(0, 30)]
    predictions, labels = engine.predict(rows)
    np.testing.assert_allclose(predictions, served.prediction, rtol=1e-9)
    assert labels == served.labels
    # one row goes another way through the engine
    ones = [engine.predict([row]) for row in rows]
    np.testing.assert_allclose([one[0][0] for one in ones], served.prediction, rtol=1e-6)
    assert [one[1][0] for one in ones if one[1]] == (served.labels or [])


@pytest.mark.parametrize("name", ["hist gradient boosting", "lightgbm booster", "xgboost"])
def test_compiled_trees_agree_on_rows_rounded_to_single_precision(built: Callable[[str], Built], name: str) -> None:
    sample = built(name)
    rounded = sample.frame.to_numpy().astype(np.float32).astype(np.float64)
    answer = ServedModel(BuiltFiles(sample.folder)).predict(list(sample.frame.columns), rounded.tolist()).prediction
    if name == "lightgbm booster":
        expected = sample.model.predict(rounded)
    else:
        expected = sample.model.predict_proba(rounded)[:, 1]
    np.testing.assert_allclose(answer, expected, atol=1e-5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scale=st.floats(0.01, 100.0), seed=st.integers(0, 2**32 - 1))
def test_hist_gradient_boosting_agrees_anywhere(built: Callable[[str], Built], scale: float, seed: int) -> None:
    sample = built("hist gradient boosting")
    served = _served(sample.folder)
    values = sample.frame.sample(20, random_state=seed).to_numpy()
    values = values * np.random.default_rng(seed).lognormal(0.0, scale / 100, values.shape)
    answer = served.predict(list(sample.frame.columns), values.tolist())
    expected = sample.model.predict_proba(values)
    np.testing.assert_allclose(answer.prediction, expected[:, 1], atol=1e-5)
    assert answer.labels == sample.model.predict(values).tolist()


@functools.cache
def _served(folder: Path) -> ServedModel:
    return ServedModel(BuiltFiles(folder))


def test_what_onnx_cannot_say_is_served_by_its_own_library_with_the_reason(built: Callable[[str], Built]) -> None:
    sample = built("categorical splits")
    bundle = read_bundle(BuiltFiles(sample.folder))
    assert (bundle.engine, bundle.onnx) == ("process", None)
    assert sample.step("compile")["status"] == "warning"
    assert "categorical splits" in sample.step("compile")["detail"]
    answer = ServedModel(BuiltFiles(sample.folder)).predict(bundle.columns, sample.rows(0, 50))
    np.testing.assert_allclose(answer.prediction, sample.model.predict_proba(sample.frame.head(50))[:, 1])


def test_text_columns_gaps_and_text_labels_survive(built: Callable[[str], Built]) -> None:
    sample = built("text and gaps")
    bundle = read_bundle(BuiltFiles(sample.folder))
    assert [(column.type, column.required) for column in bundle.inputs] == [
        ("string", True),
        ("double", True),
        ("double", False),
    ]
    assert (bundle.labels, bundle.onnx.mode) == (("leaves", "stays"), "columns")
    answer = ServedModel(BuiltFiles(sample.folder)).predict(bundle.columns, [["plus", 30.0, None]])
    assert answer.labels[0] in bundle.labels


def test_digest_is_the_platforms_digest_and_follows_every_byte(built: Callable[[str], Built], tmp_path: Path) -> None:
    artifact = built("ridge").artifact
    assert tree_digest(artifact) == platform_digest(artifact) == read_bundle(BuiltFiles(built("ridge").folder)).digest
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    before = tree_digest(tmp_path)
    assert before == platform_digest(tmp_path)
    (tmp_path / "b" / "x.txt").write_text("onE")
    assert tree_digest(tmp_path) != before


def test_report_shows_every_step_in_order(built: Callable[[str], Built]) -> None:
    report = json.loads((built("logistic pipeline").folder / "report.json").read_text())
    steps = ["digest", "format", "scan", "code", "versions", "load", "schema", "compile", "rows"]
    steps += ["background", "parity"]
    assert [step["name"] for step in report["steps"]] == steps
    assert all(step["detail"] for step in report["steps"])
    assert (report["verdict"], report["engine"], report["reason"]) == ("built", "onnx", None)


def test_mlflows_default_skops_format_is_built_from_the_command_line(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["logistic pipeline"]()
    artifact = log(model, frame, flavor, tmp_path / "artifact", serialization_format="skops")
    arguments = ["--source", str(artifact), "--output", str(tmp_path / "bundle"), "--name", "m", "--version", "7"]
    assert main(arguments) == 0
    assert read_bundle(BuiltFiles(tmp_path / "bundle")).model_version == 7


def test_model_without_a_sample_is_built_and_says_what_is_missing(tmp_path: Path) -> None:
    model, frame, flavor = MODELS["ridge"]()
    report = build(log(model, frame, flavor, tmp_path / "a", examples=0), tmp_path / "b", name="m", version=1)
    [background] = [step for step in report.steps if step["name"] == "background"]
    assert (report.verdict, background["status"]) == ("built", "warning")
    assert not (tmp_path / "b" / "background.json").exists()
