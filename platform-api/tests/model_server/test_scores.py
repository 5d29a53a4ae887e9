"""Models that answer labels without probabilities say their scores beside them: detectors, clusterers, borders of classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sample_models import log
from sklearn.cluster import Birch, KMeans, MeanShift
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC, OneClassSVM

from model_server.build.__main__ import build
from model_server.build.scores import scores_of
from model_server.bundle import InputColumn, Scores, parse_bundle
from model_server.contract.problems import ModelRefuses
from model_server.engines.native import NativeModel
from model_server.serve.protocols import infer_answer, infer_question, v2_metadata
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(120, 3)), columns=["a", "b", "c"])
CLASSES = np.where(FRAME.a > 0.5, "high", np.where(FRAME.a < -0.5, "low", "middle"))
SEVERAL = np.stack([FRAME.a > 0, FRAME.b > 0], axis=1).astype(int)
INPUTS = tuple(InputColumn(name, "double") for name in FRAME.columns)

BIRCH = Birch(n_clusters=None, threshold=1).fit(FRAME)
SCORED: dict[str, tuple[Any, Scores | None]] = {
    "isolation forest": (IsolationForest(n_estimators=5).fit(FRAME), Scores("decision_function", ())),
    "one-class SVM": (OneClassSVM().fit(FRAME), Scores("decision_function", ())),
    "local outliers": (LocalOutlierFactor(novelty=True).fit(FRAME), Scores("decision_function", ())),
    "elliptic envelope": (EllipticEnvelope().fit(FRAME), Scores("decision_function", ())),
    "k-means": (KMeans(4, n_init=1).fit(FRAME), Scores("transform", (4,))),
    "one cluster": (KMeans(1, n_init=1).fit(FRAME), Scores("transform", ())),
    "birch": (BIRCH, Scores("transform", BIRCH.subcluster_centers_.shape[:1])),
    "scaled k-means": (make_pipeline(StandardScaler(), KMeans(2, n_init=1)).fit(FRAME), Scores("transform", (2,))),
    "mixture": (GaussianMixture(3).fit(FRAME), Scores("predict_proba", (3,))),
    "borders of two": (LinearSVC().fit(FRAME, FRAME.a > 0), Scores("decision_function", ())),
    "borders of three": (RidgeClassifier().fit(FRAME, CLASSES), Scores("decision_function", (3,))),
    "several labels": (
        OneVsRestClassifier(LogisticRegression()).fit(FRAME, SEVERAL),
        Scores("decision_function", (2,)),
    ),
    "mean shift": (MeanShift().fit(FRAME), None),
}


@pytest.mark.parametrize("kind", SCORED)
def test_a_model_is_asked_how_it_scores(kind: str) -> None:
    model, wanted = SCORED[kind]
    native = NativeModel(model, "sklearn", "raw", ())
    assert scores_of(native, INPUTS, FRAME.head(9).to_numpy().tolist(), "array") == wanted


def served(model: Any, folder: Path) -> ServedModel:
    log(model, FRAME, "sklearn", folder / "model")
    report = build(folder / "model", folder / "bundle", name="m", version=1)
    assert report.verdict == "built", report.sentence
    return ServedModel(BuiltFiles(folder / "bundle"))


def added(explained: Any) -> Any:
    return np.array(explained.base_values) + np.array(explained.shap_values).sum(axis=-1)


def test_one_score_a_row_comes_beside_the_label_and_is_explained(tmp_path: Path) -> None:
    model = SCORED["isolation forest"][0]
    found = served(model, tmp_path)
    rows = FRAME.head(5).to_numpy().tolist()
    answer = found.predict(list(FRAME.columns), rows)
    assert answer.prediction == model.predict(FRAME.head(5)).tolist()
    assert answer.scores == pytest.approx(model.decision_function(FRAME.head(5)), abs=1e-9)
    explained = found.explain(list(FRAME.columns), rows)
    assert (explained.space, explained.algorithm) == ("score", "exact")
    np.testing.assert_allclose(added(explained), answer.scores, atol=1e-6)


def test_several_scores_a_row_are_a_tensor_and_each_is_explained(tmp_path: Path) -> None:
    model = SCORED["k-means"][0]
    found = served(model, tmp_path)
    assert v2_metadata(found.bundle, None)["outputs"] == [
        {"name": "prediction", "datatype": "INT64", "shape": [-1]},
        {"name": "score", "datatype": "FP64", "shape": [-1, 4]},
    ]
    rows = FRAME.head(2).to_numpy().tolist()
    body = {
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 3], "data": rows}],
        "outputs": [{"name": "score"}],
    }
    asked, (asked_rows, params) = infer_question(found, json.dumps(body).encode(), None)
    [score] = json.loads(infer_answer(found.bundle, asked, found.answer(asked_rows, params))[0])["outputs"]
    assert (score["name"], score["shape"]) == ("score", [2, 4])
    np.testing.assert_allclose(np.reshape(score["data"], (2, 4)), model.transform(FRAME.head(2)))
    explained = found.explain(list(FRAME.columns), rows)
    np.testing.assert_allclose(added(explained), model.transform(FRAME.head(2)), atol=1e-6)


def test_a_score_that_is_no_number_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = served(SCORED["isolation forest"][0], tmp_path)
    forest = found._native_model().estimator
    scores = type(forest).decision_function

    def odd(self: Any, rows: Any) -> Any:
        return np.where(np.asarray(rows)[:, 0] > 100, np.inf, scores(self, rows))

    monkeypatch.setattr(type(forest), "decision_function", odd)
    with pytest.raises(ModelRefuses, match="row 1: 'a' is 1000"):
        found.predict(list(FRAME.columns), [[0.0, 0.0, 0.0], [1000.0, 0.0, 0.0]])


def test_a_bundle_from_before_scores_has_none(tmp_path: Path) -> None:
    served(SCORED["isolation forest"][0], tmp_path)
    content = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    del content["answer"]["scores"]
    assert parse_bundle(content).answer.scores is None
    content["answer"]["scores"] = {"method": "__reduce__", "shape": []}
    with pytest.raises(ValueError):
        parse_bundle(content)
