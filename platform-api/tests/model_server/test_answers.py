"""As many answers as rows, in the model's own shape: asked at build, counted in every engine, alike in both of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from mlflow.models import infer_signature
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sample_models import log
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from mlops_platform.predictions.answers import AnswersDiffer
from mlops_platform.predictions.engine import OnnxModel, describe
from model_server.build.__main__ import build
from model_server.build.answers import Settled, settle
from model_server.build.parity import NativeAnswers, compare
from model_server.build.schema import infer_inputs
from model_server.build.tree_ensemble import NotCompilable
from model_server.bundle import AnswerForm, parse_bundle, read_bundle
from model_server.engines.answers import NotFinite, WrongAnswers, numbers, one_per_row, without_gaps
from model_server.engines.boosters import XgboostBooster
from model_server.engines.compiled import Compiled
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel, _task
from model_server.refusals import Refused
from model_server.serve import protocols
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

random = np.random.default_rng(7)
FRAME = pd.DataFrame(random.normal(size=(60, 3)), columns=list("abc"))
TWO = np.c_[2 * FRAME.a + FRAME.b, FRAME.c - FRAME.a]
LABELS = (FRAME.to_numpy() > 0).astype(int)
DOCUMENTS = ["good cheap phone", "bad slow phone", "good fast laptop", "bad heavy laptop"] * 15
TEXT = pd.DataFrame({"text": DOCUMENTS})
MOODS = ["up", "down"] * 30


def quantiles() -> Any:
    return xgboost.XGBRegressor(n_estimators=4, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])


NUMBERS: dict[str, tuple[Callable[[], Any], str, tuple[int, ...]]] = {
    "two targets": (lambda: LinearRegression().fit(FRAME, TWO), "regression", (2,)),
    "one target in a column": (lambda: LinearRegression().fit(FRAME, TWO[:, :1]), "regression", ()),
    "forest of two targets": (lambda: RandomForestRegressor(5).fit(FRAME, TWO), "regression", (2,)),
    "xgboost of two targets": (lambda: xgboost.XGBRegressor(n_estimators=4).fit(FRAME, TWO), "regression", (2,)),
    "three quantiles": (lambda: quantiles().fit(FRAME, TWO[:, 0]), "regression", (3,)),
    "booster of three quantiles": (
        lambda: XgboostBooster(quantiles().fit(FRAME, TWO[:, 0]).get_booster()),
        "regression",
        (3,),
    ),
    "a model per target": (
        lambda: MultiOutputRegressor(GradientBoostingRegressor(n_estimators=3)).fit(FRAME, TWO),
        "regression",
        (2,),
    ),
    "partial least squares": (lambda: PLSRegression(2).fit(FRAME, TWO), "regression", (2,)),
    "a classifier per label": (lambda: MultiOutputClassifier(LogisticRegression()).fit(FRAME, LABELS), "raw", (3,)),
    "neighbours of three labels": (lambda: KNeighborsClassifier().fit(FRAME, LABELS), "raw", (3,)),
    "neighbours of two labels": (lambda: KNeighborsClassifier().fit(FRAME, LABELS[:, :2]), "raw", (2,)),
    "forest of two labels": (lambda: RandomForestClassifier(5).fit(FRAME, LABELS[:, :2]), "raw", (2,)),
    # these two look like a choice among classes until they are asked
    "network of three labels": (lambda: MLPClassifier((4,), max_iter=40).fit(FRAME, LABELS), "raw", (3,)),
    "network of two labels": (lambda: MLPClassifier((4,), max_iter=40).fit(FRAME, LABELS[:, :2]), "raw", (2,)),
    "one against the rest": (
        lambda: OneVsRestClassifier(LogisticRegression()).fit(FRAME, LABELS[:, :2]),
        "raw",
        (2,),
    ),
    "sparse labels": (
        lambda: OneVsRestClassifier(LogisticRegression()).fit(FRAME, csr_matrix(LABELS)),
        "raw",
        (3,),
    ),
    "xgboost of two labels": (lambda: xgboost.XGBClassifier(n_estimators=3).fit(FRAME, LABELS[:, :2]), "raw", (2,)),
    "clusters": (lambda: KMeans(3, n_init=1).fit(FRAME), "raw", ()),
}
TEXTS: dict[str, tuple[Callable[[], Any], str]] = {
    "tf-idf": (lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(DOCUMENTS, MOODS), "binary"),
    "counts": (lambda: make_pipeline(CountVectorizer(), MultinomialNB()).fit(DOCUMENTS, MOODS), "binary"),
    "hashes": (
        lambda: make_pipeline(HashingVectorizer(n_features=64), LogisticRegression()).fit(DOCUMENTS, MOODS),
        "binary",
    ),
    "values": (lambda: make_pipeline(TfidfVectorizer(), Ridge()).fit(DOCUMENTS, np.arange(60.0)), "regression"),
    "labels without probabilities": (
        lambda: make_pipeline(TfidfVectorizer(), LinearSVC()).fit(TEXT["text"], MOODS),
        "raw",
    ),
}


def settled(model: Any, frame: pd.DataFrame, rows: int = 20) -> tuple[Settled, Any]:
    inputs, _ = infer_inputs(infer_signature(frame).inputs.to_dict(), model)
    native = NativeModel(model, "sklearn", *_task(model))
    return settle(native, inputs, frame.head(rows).to_numpy().tolist()), inputs


def dense(found: Any) -> NDArray[Any]:
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_model_answers_in_its_own_shape(name: str) -> None:
    make, task, shape = NUMBERS[name]
    model = make()
    found, inputs = settled(model, FRAME)
    assert (found.native.task, found.answer.shape) == (task, shape)
    answers = found.native.outputs(table(inputs, FRAME.head(5).to_numpy().tolist(), found.form))
    np.testing.assert_allclose(answers.reshape(5, -1), dense(model.predict(FRAME.head(5))).reshape(5, -1), rtol=1e-6)
    assert answers.shape == (5, *shape)


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_model_answers_every_text(name: str, rows: int) -> None:
    make, task = TEXTS[name]
    model = make()
    found, inputs = settled(model, TEXT, rows)
    assert (found.native.task, found.form, found.answer.shape) == (task, "values", ())
    asked = ["good laptop", "bad bad phone", "good good"]
    answers = found.native.outputs(table(inputs, [[text] for text in asked], found.form))
    expected = model.predict_proba(asked) if task == "binary" else model.predict(asked)
    if task == "raw":
        assert answers.tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(answers, expected)


@pytest.mark.parametrize("example", [DOCUMENTS[:8], np.array(DOCUMENTS[:8]), TEXT["text"].head(8)])
def test_texts_logged_as_a_list_an_array_or_a_series_are_one_input(example: Any) -> None:
    inputs, _ = infer_inputs(infer_signature(example).inputs.to_dict(), TEXTS["tf-idf"][0]())
    assert [column.type for column in inputs] == ["string"]


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_what_does_not_answer_every_row_is_refused_by_the_build(rows: int) -> None:
    with pytest.raises(Refused, match=r"answers? for \d+ rows") as refusal:
        settled(TEXTS["tf-idf"][0](), TEXT.assign(other="x"), rows)
    assert refusal.value.code == "wrong_answers"


def test_two_inputs_of_one_name_are_refused_by_the_build() -> None:
    signature = [{"type": "double", "name": "a", "required": True}] * 2
    with pytest.raises(Refused, match="'a'"):
        infer_inputs(signature, LinearRegression().fit(FRAME[["a", "b"]].to_numpy(), TWO))


def test_answers_are_counted() -> None:
    assert one_per_row(np.zeros((3, 2)), 3, (2,)).shape == (3, 2)
    for found, rows, shape in (
        (np.zeros(1), 3, ()),
        (np.zeros(6), 3, ()),
        (np.array(0.5), 1, ()),
        (np.zeros((3, 2)), 3, ()),
        (np.zeros((3, 2)), 3, (3,)),
    ):
        with pytest.raises(WrongAnswers):
            one_per_row(found, rows, shape)
    assert numbers(np.zeros((1, 1))).shape == (1,)
    assert numbers(np.zeros((1, 2))).shape == (1, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_an_answer_that_is_none_is_not_passed_on(value: Any) -> None:
    with pytest.raises(NotFinite):
        without_gaps(np.array([1.0, value], dtype=object if value is None else float))


def test_the_proof_compares_shapes() -> None:
    """A graph of six numbers for three rows is not the model of two targets, though the numbers are the same."""
    native = NativeModel(LinearRegression().fit(FRAME, TWO), "sklearn", "regression", ())
    inputs, _ = infer_inputs(None, native.estimator)
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["xw"]),
        helper.make_node("Add", ["xw", "B"], ["both"]),
        helper.make_node("Reshape", ["both", "long"], ["y"]),
    ]
    weights = [
        helper.make_tensor("W", TensorProto.DOUBLE, [3, 2], native.estimator.coef_.T.ravel()),
        helper.make_tensor("B", TensorProto.DOUBLE, [2], native.estimator.intercept_),
        helper.make_tensor("long", TensorProto.INT64, [2], [-1, 1]),
    ]
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, width]) for name, width in (("X", 3), ("y", 1))
    ]
    graph = helper.make_graph(nodes, "flat", shapes[:1], shapes[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    flat = Compiled(
        model.SerializeToString(), "tensor", "float64", {}, {"value": "y", "label": None, "probabilities": None}
    )
    with pytest.raises(NotCompilable, match="shape"):
        compare(
            NativeAnswers.of(native, inputs, FRAME.head(3).to_numpy().tolist(), "array"),
            flat,
            inputs,
            FRAME.head(3).to_numpy().tolist(),
            "regression",
            (),
        )


@pytest.fixture(scope="module")
def two_targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bundle(LinearRegression().fit(FRAME, TWO), FRAME, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _bundle(TEXTS["tf-idf"][0](), TEXT, tmp_path_factory.mktemp("texts"))


def _bundle(model: Any, frame: pd.DataFrame, folder: Path) -> Path:
    # a text model takes the column, not the frame it is logged with
    predicted = model.predict(frame.get("text", frame))
    artifact = log(model, frame, "sklearn", folder / "artifact", predicted=predicted)
    report = build(artifact, folder / "bundle", name="sample", version=1)
    assert report.verdict == "built", report.sentence
    return folder / "bundle"


ROWS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
PAIRS = [[2.0, -1.0], [1.0, 0.0]]


def test_graph_in_process_and_model_process_answer_a_pair_per_row(two_targets: Path) -> None:
    served = ServedModel(BuiltFiles(two_targets))
    assert (served.bundle.engine, served.bundle.answer) == ("onnx", AnswerForm((2,), "FP64"))
    engine = OnnxModel(BuiltFiles(two_targets), describe(BuiltFiles(two_targets)))
    in_process, labels = engine.predict([tuple(row) for row in ROWS])
    assert labels is None
    by_its_library = ServedModel(BuiltFiles(two_targets))
    by_its_library._compiled = None  # the same bundle without its graph
    by_process = [one.predict(["a", "b", "c"], ROWS).prediction for one in (served, by_its_library)]
    for answers in (in_process, *by_process):
        assert np.shape(answers) == (2, 2)
        np.testing.assert_allclose(answers, PAIRS, atol=1e-9)
    assert np.shape(engine.predict([(1.0, 0.0, 0.0)])[0]) == (1, 2)


def test_tensors_of_several_targets_have_their_shape(two_targets: Path) -> None:
    served = ServedModel(BuiltFiles(two_targets))
    tensor = {"name": "x", "datatype": "FP64", "shape": [2, 3], "data": ROWS}
    asked, question = protocols.infer_question(served, json.dumps({"inputs": [tensor]}).encode(), None)
    content, _ = protocols.infer_answer(served.bundle, asked, served.answer(question.rows, question.params))
    [output] = json.loads(content)["outputs"]
    assert output["shape"] == [2, 2]
    assert output["data"] == pytest.approx([value for pair in PAIRS for value in pair])
    assert protocols.v2_metadata(served.bundle, None)["outputs"] == [
        {"name": "prediction", "datatype": "FP64", "shape": [-1, 2]}
    ]


def test_several_targets_are_explained_one_by_one(two_targets: Path) -> None:
    explanation = ServedModel(BuiltFiles(two_targets)).explain(["a", "b", "c"], ROWS)
    shares = np.asarray(explanation.shap_values)
    assert shares.shape == (2, 2, 3)
    np.testing.assert_allclose(explanation.raw_output, PAIRS, atol=1e-6)
    np.testing.assert_allclose(np.asarray(explanation.base_values) + shares.sum(axis=2), PAIRS, atol=1e-6)


def test_texts_are_answered_and_explained_one_by_one(texts: Path) -> None:
    served = ServedModel(BuiltFiles(texts))
    model = TEXTS["tf-idf"][0]()
    asked = ["good laptop", "bad bad phone", "good good"]
    answer = served.predict(["text"], [[text] for text in asked])
    np.testing.assert_allclose(answer.prediction, model.predict_proba(asked)[:, 1], atol=1e-5)
    assert answer.labels == model.predict(asked).tolist()
    explanation = served.explain(["text"], [["good laptop"]])
    assert explanation.base_values[0] + explanation.shap_values[0][0] == pytest.approx(explanation.raw_output[0])


def test_a_bundle_that_states_another_shape_is_not_answered_from(two_targets: Path) -> None:
    """As a bundle does that was built when answers were flattened."""
    served = ServedModel(BuiltFiles(two_targets))
    served.bundle = replace(served.bundle, answer=AnswerForm((), "FP64"))
    with pytest.raises(WrongAnswers):
        served.predict(["a", "b", "c"], ROWS)
    described = describe(BuiltFiles(two_targets))
    engine = OnnxModel(BuiltFiles(two_targets), replace(described, answer=replace(described.answer, shape=())))
    for rows in (ROWS, ROWS[:1]):
        with pytest.raises(AnswersDiffer):
            engine.predict([tuple(row) for row in rows])


def test_bundles_from_before_answers_were_described_are_read(two_targets: Path, tmp_path: Path) -> None:
    content = json.loads((two_targets / "bundle.json").read_text())
    del content["answer"]
    for task, labels, shape in (
        ("regression", [], ()),
        ("binary", [0, 1], ()),
        ("multiclass", [0, 1, 2], (3,)),
        ("raw", [], None),
    ):
        older = {**content, "task": task, "labels": labels}
        assert parse_bundle(older).answer.shape == shape
        (tmp_path / "bundle.json").write_text(json.dumps(older))
        assert describe(BuiltFiles(tmp_path)).answer.shape == shape
    assert read_bundle(BuiltFiles(two_targets)).answer.shape == (2,)


def test_a_graph_that_answers_no_number_is_not_passed_on(tmp_path: Path) -> None:
    from mlops_platform.kit.digests import file_sha256

    graph = helper.make_graph(
        [helper.make_node("Log", ["x"], ["y"])],
        "log",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m")
    described = {
        "file": "m",
        "sha256": file_sha256(tmp_path / "m"),
        "mode": "tensor",
        "input": "x",
        "dtype": "float32",
        "value": "y",
        "label": None,
    }
    content = {
        "flavor": "sklearn",
        "task": "regression",
        "engine": "onnx",
        "labels": [],
        "digest": "sha256:0",
        "inputs": [{"name": "x", "type": "double"}],
        "onnx": described,
    }
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    engine = OnnxModel(BuiltFiles(tmp_path), describe(BuiltFiles(tmp_path)))
    assert engine.predict([(1.0,)]) == ([0.0], None)
    for rows in ([(0.0,)], [(1.0,), (-1.0,)]):
        with pytest.raises(NotFinite):
            engine.predict(rows)
