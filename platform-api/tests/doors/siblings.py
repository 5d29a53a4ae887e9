"""The models' siblings: a small one of each flavour, and each further shape of rows and answers."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
import xgboost
from mlflow.models import infer_signature
from onnx import TensorProto, helper
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.svm import OneClassSVM

from .sample import EXAMPLES, Refused, Row, Said, Sample, of_frame, rows_of, saved

MODULES = Path(__file__).parents[1] / "model_server" / "modules"
if str(MODULES) not in sys.path:
    sys.path.append(str(MODULES))


def _table(columns: int = 3) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(6).normal(size=(200, columns)), columns=list("abcdef")[:columns])


def _of_numbers(
    name: str, flavor: str, model: Any, frame: pd.DataFrame, scoring: str | None = None, *, compiled: bool = False
) -> Sample:
    good: Row = rows_of(frame, 1)[0]
    first = str(frame.columns[0])
    refused = {
        "a text": Refused([good, {**good, first: "much"}], 1, first),
        "a null": Refused([good, {**good, first: None}, good], 1, first),
        "infinite in 64 bits": Refused([good, {**good, first: 10**309}], 1, first),
    }
    return Sample(
        name,
        rows_of(frame),
        dict.fromkeys(map(str, frame.columns), "FP64"),
        of_frame(model, frame, scoring),
        saved(flavor, model, frame, model.predict(frame)),
        refused,
        compiled=compiled,
    )


def _several_labels() -> Sample:
    frame = _table()
    model = KNeighborsClassifier().fit(frame, np.stack([frame["a"] > 0, frame["b"] > 0, frame["c"] > 1], axis=1) * 1)
    return _of_numbers("several-labels", "sklearn", model, frame)


def _clusters() -> Sample:
    frame = _table()
    return _of_numbers("clusters", "sklearn", KMeans(3, n_init=1, random_state=0).fit(frame), frame, "transform")


def _novelties() -> Sample:
    frame = _table()
    model = LocalOutlierFactor(novelty=True).fit(frame.to_numpy())
    model.feature_names_in_ = np.array(frame.columns, dtype=object)
    return _of_numbers("novelties", "sklearn", model, frame, "decision_function")


def _one_class() -> Sample:
    frame = _table()
    return _of_numbers("one-class", "sklearn", OneClassSVM(gamma="scale").fit(frame), frame, "decision_function")


def _quantiles() -> Sample:
    frame = _table()
    model = xgboost.XGBRegressor(
        n_estimators=9, objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.9]), n_jobs=1
    ).fit(frame, frame["a"] + frame["b"])
    return _of_numbers("quantiles", "xgboost", model, frame)


def _lightgbm() -> Sample:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    frame.columns = ["a b", "c.d", "é", "5"]
    frame = frame.sample(frac=1, random_state=0)
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(frame, target[frame.index])
    return _of_numbers("lightgbm", "lightgbm", model, frame, compiled=True)


def _catboost() -> Sample:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    frame = frame.sample(frac=1, random_state=0)
    model = catboost.CatBoostClassifier(iterations=9, verbose=0, allow_writing_files=False)
    return _of_numbers("catboost", "catboost", model.fit(frame, target[frame.index]), frame)


def _statsmodels() -> Sample:
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "age": random.uniform(18, 80, 200),
            "plan": random.choice(["basic", "plus", "max"], 200),
            "visits": random.integers(0, 9, 200),
        }
    )
    target = frame["age"] / 10 + (frame["plan"] == "max") + frame["visits"] / 5
    results = smf.ols("y ~ np.log(age) + C(plan) + visits", frame.assign(y=target)).fit()

    def says(rows: list[Row]) -> Said:
        return Said(np.asarray(results.predict(pd.DataFrame(rows))).tolist())

    good: Row = {"age": 30.0, "plan": "plus", "visits": 2}
    refused = {
        "an unknown plan": Refused([good, {**good, "plan": "none"}], 1, "plan"),
        "a logarithm of nothing": Refused([good, {**good, "age": -1.0}], 1, "age"),
    }
    datatypes = {"age": "FP64", "plan": "BYTES", "visits": "INT64"}
    save = saved("statsmodels", results, frame, np.asarray(results.predict(frame)))
    return Sample("statsmodels", rows_of(frame), datatypes, says, save, refused, compiled=False)


def _several_outputs() -> Sample:
    """An ONNX graph of two columns that answers with a number, a text and a pair."""
    inputs = [
        helper.make_tensor_value_info("size", TensorProto.DOUBLE, [None, 1]),
        helper.make_tensor_value_info("city", TensorProto.STRING, [None, 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("twice", TensorProto.DOUBLE, [None, 1]),
        helper.make_tensor_value_info("place", TensorProto.STRING, [None, 1]),
        helper.make_tensor_value_info("pair", TensorProto.DOUBLE, [None, 2]),
    ]
    nodes = [
        helper.make_node("Add", ["size", "size"], ["twice"]),
        helper.make_node("Identity", ["city"], ["place"]),
        helper.make_node("Concat", ["size", "twice"], ["pair"], axis=1),
    ]
    graph = helper.make_graph(nodes, "several", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    rows: list[Row] = [{"size": place / 3, "city": f"ünï {place}"} for place in range(EXAMPLES)]

    def says(rows: list[Row]) -> Said:
        return Said(
            [{"twice": row["size"] * 2, "place": row["city"], "pair": [row["size"], row["size"] * 2]} for row in rows]
        )

    refused = {"a text": Refused([rows[0], {**rows[0], "size": "big"}], 1, "size")}

    def save(folder: Path) -> None:
        mlflow.onnx.save_model(model, str(folder), pip_requirements=[])

    return Sample("several-outputs", rows, {"size": "FP64", "city": "BYTES"}, says, save, refused, compiled=False)


def _own_code() -> Sample:
    """A pyfunc with a module of its own, and a param."""

    class Quote(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # MLflow has no type hints for it
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            from pricing import surcharge

            return np.array([surcharge(age) + 0.5 for age in model_input["age"]]) * (params or {})["factor"]

    from pricing import surcharge

    frame = pd.DataFrame({"age": np.linspace(18, 80, EXAMPLES)})

    def says(rows: list[Row]) -> Said:
        return Said([(surcharge(row["age"]) + 0.5) * 2 for row in rows])

    def save(folder: Path) -> None:
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=Quote(),
            code_paths=[str(MODULES / "pricing")],
            signature=infer_signature(frame, np.array([1.0]), params={"factor": 1.0}),
            input_example=frame,
            pip_requirements=[],
        )

    good: Row = {"age": 30.0}
    refused = {"a text": Refused([good, {"age": "old"}], 1, "age")}
    return Sample(
        "own-code", rows_of(frame), {"age": "FP64"}, says, save, refused, params={"factor": 2.0}, compiled=False
    )


def _images() -> Sample:
    """A tensor of two further axes in, a tensor of one out."""

    class Sums(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # as above
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input.sum(axis=1)

    images = np.random.default_rng(8).normal(size=(EXAMPLES, 2, 3))

    def says(rows: list[Row]) -> Said:
        return Said(np.array([row["x0"] for row in rows]).sum(axis=1).tolist())

    def save(folder: Path) -> None:
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=Sums(),
            signature=infer_signature(images, images.sum(axis=1)),
            pip_requirements=[],
        )

    rows: list[Row] = [{"x0": image.tolist()} for image in images]
    return Sample("images", rows, {"x0": "FP64"}, says, save, axes={"x0": (2, 3)}, compiled=False)


SIBLINGS: dict[str, Callable[[], Sample]] = {
    "several labels": _several_labels,
    "clusters": _clusters,
    "novelties": _novelties,
    "one class": _one_class,
    "quantiles": _quantiles,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
    "statsmodels": _statsmodels,
    "several outputs": _several_outputs,
    "own code": _own_code,
    "images": _images,
}
