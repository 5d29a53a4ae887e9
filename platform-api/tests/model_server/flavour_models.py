"""A small model of each flavour, logged with the real MLflow client, with what its own library answers."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import mlflow
import numpy as np
import onnx
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from mlflow.models import infer_signature
from onnx import TensorProto, helper
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

MODULES = Path(__file__).parent / "modules"
if str(MODULES) not in sys.path:
    sys.path.append(str(MODULES))

ROWS = 12


@dataclass
class Logged:
    """What was logged: the first rows, what the library answers to them, and what the bundle must say."""

    frame: pd.DataFrame
    expected: Any
    task: str
    labels: list[Any] | None = None
    code: str = "none"
    explained: str | None = "shap"
    params: dict[str, Any] = field(default_factory=dict)


def _mixed(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "age": random.uniform(18, 80, rows),
            "plan": random.choice(["basic", "plus", "max"], rows),
            "visits": random.integers(0, 9, rows),
        }
    )


def _numbers(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(6)
    return pd.DataFrame(random.normal(size=(rows, 3)), columns=["a", "b", "c"])


def _save(flavor: str, folder: Path, model: Any, frame: pd.DataFrame, answers: Any, **options: Any) -> None:
    getattr(mlflow, flavor).save_model(
        model,
        str(folder),
        signature=infer_signature(frame, answers),
        input_example=frame.head(30),
        pip_requirements=options.pop("pip_requirements", []),
        **options,
    )


def _catboost_text_labels(folder: Path) -> Logged:
    frame = _mixed()
    target = np.where((frame["plan"] == "max") ^ (frame["age"] > 50), "leaves", "stays")
    model = catboost.CatBoostClassifier(
        iterations=20, depth=3, verbose=0, cat_features=["plan", "visits"], allow_writing_files=False
    ).fit(frame, target)
    _save("catboost", folder, model, frame, model.predict(frame))
    first = frame.head(ROWS)
    return Logged(first, model.predict_proba(first)[:, 1], "binary", model.predict(first).tolist())


def _catboost_multiclass(folder: Path) -> Logged:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    model = catboost.CatBoostClassifier(iterations=15, verbose=0, allow_writing_files=False).fit(frame, target)
    _save("catboost", folder, model, frame, model.predict(frame))
    first = frame.iloc[::13].head(ROWS)
    return Logged(first, model.predict_proba(first), "multiclass", model.predict(first).ravel().tolist())


def _catboost_regressor(folder: Path) -> Logged:
    frame, target = load_diabetes(return_X_y=True, as_frame=True)
    model = catboost.CatBoostRegressor(iterations=20, depth=4, verbose=0, allow_writing_files=False).fit(frame, target)
    _save("catboost", folder, model, frame, model.predict(frame))
    return Logged(frame.head(ROWS), model.predict(frame.head(ROWS)), "regression")


def _catboost_two_targets(folder: Path) -> Logged:
    frame = _numbers()
    target = np.column_stack([frame["a"] * 2, frame["b"] - frame["c"]])
    model = catboost.CatBoost(
        {"loss_function": "MultiRMSE", "iterations": 15, "verbose": 0, "allow_writing_files": False}
    )
    model.fit(frame, target)
    _save("catboost", folder, model, frame, model.predict(frame))
    return Logged(frame.head(ROWS), model.predict(frame.head(ROWS)), "regression")


def _raw_catboost(folder: Path) -> Logged:
    frame = _numbers()
    model = catboost.CatBoost(
        {"loss_function": "Logloss", "iterations": 15, "verbose": 0, "allow_writing_files": False}
    )
    model.fit(frame, (frame["a"] > 0).astype(int))
    _save("catboost", folder, model, frame, model.predict(frame, prediction_type="Class"))
    first = frame.head(ROWS)
    expected = model.predict(first, prediction_type="Probability")[:, 1]
    return Logged(first, expected, "binary", model.predict(first, prediction_type="Class").tolist())


def _catboost_counts(loss: str, folder: Path) -> Logged:
    """Losses by which a regressor's answer is no sum of its trees, and CatBoost itself forgets it with the parameters."""
    frame = _numbers()
    model = catboost.CatBoostRegressor(loss_function=loss, iterations=15, verbose=0, allow_writing_files=False)
    model.fit(frame, np.exp(frame["a"]))
    _save("catboost", folder, model, frame, model.predict(frame))
    return Logged(frame.head(ROWS), model.predict(frame.head(ROWS)), "regression")


def _catboost_rank(folder: Path) -> Logged:
    frame = _numbers()
    model = catboost.CatBoostRanker(iterations=15, verbose=0, allow_writing_files=False)
    model.fit(frame, (frame["a"] > 0).astype(int), group_id=np.arange(len(frame)) // 50)
    _save("catboost", folder, model, frame, model.predict(frame))
    return Logged(frame.head(ROWS), model.predict(frame.head(ROWS)), "regression")


def _catboost_several_labels(folder: Path) -> Logged:
    frame = _numbers()
    target = np.column_stack([frame["a"] > 0, frame["b"] > 0, frame["c"] > 1]).astype(int)
    model = catboost.CatBoostClassifier(
        loss_function="MultiLogloss", iterations=15, verbose=0, allow_writing_files=False
    ).fit(frame, target)
    _save("catboost", folder, model, frame, model.predict(frame))
    return Logged(frame.head(ROWS), model.predict(frame.head(ROWS)), "raw")


def _lightgbm_objective_of_its_own(folder: Path) -> Logged:
    frame = _numbers()
    model = lightgbm.train(
        {"objective": lambda answers, data: (answers - data.get_label(), np.ones_like(answers)), "verbose": -1},
        lightgbm.Dataset(frame, frame["a"] * 2),
        15,
    )
    _save("lightgbm", folder, model, frame, model.predict(frame))
    return Logged(frame.head(ROWS), model.predict(frame.head(ROWS)), "regression")


def _ols(folder: Path) -> Logged:
    frame = sm.add_constant(_numbers())
    results = sm.OLS(frame["a"] * 2 - frame["b"] + 1, frame).fit()
    _save("statsmodels", folder, results, frame, results.predict(frame))
    return Logged(frame.head(ROWS), results.predict(frame.head(ROWS)), "regression")


def _logit(folder: Path) -> Logged:
    frame = sm.add_constant(_numbers())
    target = (frame["a"] + np.random.default_rng(1).normal(size=len(frame)) > 0).astype(int)
    results = sm.Logit(target, frame).fit(disp=0)
    _save("statsmodels", folder, results, frame, results.predict(frame))
    expected = results.predict(frame.head(ROWS))
    return Logged(frame.head(ROWS), expected, "binary", (expected > 0.5).astype(int).tolist())


def _glm(folder: Path) -> Logged:
    frame = sm.add_constant(_numbers())
    target = np.random.default_rng(2).poisson(np.exp(frame["a"] / 3))
    results = sm.GLM(target, frame, family=sm.families.Poisson()).fit()
    _save("statsmodels", folder, results, frame, results.predict(frame))
    return Logged(frame.head(ROWS), results.predict(frame.head(ROWS)), "regression")


def _multinomial(folder: Path) -> Logged:
    frame = sm.add_constant(_numbers())
    target = np.random.default_rng(3).integers(0, 3, len(frame))
    results = sm.MNLogit(target, frame).fit(disp=0)
    _save("statsmodels", folder, results, frame, results.predict(frame))
    expected = np.asarray(results.predict(frame.head(ROWS)))
    return Logged(frame.head(ROWS), expected, "multiclass", expected.argmax(axis=1).tolist())


def _formula(folder: Path) -> Logged:
    frame = _mixed()
    target = frame["age"] / 10 + (frame["plan"] == "max") + frame["visits"] / 5
    results = smf.ols("y ~ np.log(age) + C(plan) + visits", frame.assign(y=target)).fit()
    _save("statsmodels", folder, results, frame, results.predict(frame))
    return Logged(frame.head(ROWS), results.predict(frame.head(ROWS)), "regression")


def _onnx_of(estimator: Any, frame: pd.DataFrame, zipmap: bool) -> Any:
    from skl2onnx import to_onnx

    options = {id(estimator): {"zipmap": zipmap}}
    return to_onnx(estimator, frame.to_numpy().astype(np.float32), options=options, target_opset=17)


def _onnx_classifier(folder: Path, *, zipmap: bool) -> Logged:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[target]
    model = LogisticRegression(max_iter=500).fit(frame.to_numpy(), names)
    first = frame.iloc[::13].head(ROWS)
    _save("onnx", folder, _onnx_of(model, frame, zipmap), frame.astype(np.float32), names)
    return Logged(first, model.predict_proba(first.to_numpy()), "multiclass", model.predict(first.to_numpy()).tolist())


def _onnx_regressor(folder: Path) -> Logged:
    from skl2onnx import to_onnx

    frame, target = load_diabetes(return_X_y=True, as_frame=True)
    model = Ridge().fit(frame.to_numpy(), target)
    graph = to_onnx(model, frame.to_numpy().astype(np.float32), target_opset=17)
    mlflow.onnx.save_model(graph, str(folder), pip_requirements=[])
    named = frame.head(ROWS).set_axis([f"x{place}" for place in range(frame.shape[1])], axis=1)
    return Logged(named, model.predict(frame.head(ROWS).to_numpy()), "regression", explained=None)


def _onnx_columns(folder: Path) -> Logged:
    """One tensor for each column, of five types, and two outputs that are no classifier's."""
    kinds = {
        "age": TensorProto.FLOAT,
        "income": TensorProto.DOUBLE,
        "visits": TensorProto.INT64,
        "plan": TensorProto.STRING,
        "member": TensorProto.BOOL,
    }
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()]
    outputs = [
        helper.make_tensor_value_info("total", TensorProto.DOUBLE, [None, 1]),
        helper.make_tensor_value_info("plan_again", TensorProto.STRING, [None, 1]),
        helper.make_tensor_value_info("member_again", TensorProto.BOOL, [None, 1]),
    ]
    nodes = [
        helper.make_node("Cast", ["age"], ["age_64"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["visits"], ["visits_64"], to=TensorProto.DOUBLE),
        helper.make_node("Sum", ["age_64", "income", "visits_64"], ["total"]),
        helper.make_node("Identity", ["plan"], ["plan_again"]),
        helper.make_node("Identity", ["member"], ["member_again"]),
    ]
    graph = helper.make_graph(nodes, "columns", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    mlflow.onnx.save_model(model, str(folder), pip_requirements=[])
    frame = pd.DataFrame(
        {
            "age": [20.5, 30.25],
            "income": [1000.5, 2000.25],
            "visits": [3, 4],
            "plan": ["basic", "max"],
            "member": [True, False],
        }
    )
    expected = [
        {"total": row.age + row.income + row.visits, "plan_again": row.plan, "member_again": row.member}
        for row in frame.itertuples()
    ]
    return Logged(frame, expected, "raw", explained=None)


def _pyfunc(folder: Path) -> Logged:
    # a class of a function is pickled with its code, as one of a notebook is
    class Quote(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        """Rules from code_paths, a table from the artifacts, parameters from the request."""

        def load_context(self, context: Any) -> None:
            self.rates = json.loads(Path(context.artifacts["rates"]).read_text())

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            # read at prediction as well: the files stay
            base = json.loads(Path(context.artifacts["rates"]).read_text())["base"]
            from pricing import surcharge

            found = [
                base + surcharge(age) + self.rates["per_visit"] * visits
                for age, visits in zip(model_input["age"], model_input["visits"], strict=True)
            ]
            return pd.Series(found) * (params or {})["factor"]

    rates = folder.parent / "rates.json"
    rates.write_text(json.dumps({"base": 1.5, "per_visit": 0.125}))
    frame = _mixed()[["age", "visits"]]
    answers = pd.Series([1.5 + (0.25 if row.age < 25 else 0) + 0.125 * row.visits for row in frame.itertuples()])
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=Quote(),
        code_paths=[str(MODULES / "pricing")],
        artifacts={"rates": str(rates)},
        signature=infer_signature(frame, answers, params={"factor": 1.0, "tags": ["a"], "rounds": 3}),
        input_example=frame.head(30),
        pip_requirements=[],
    )
    return Logged(frame.head(ROWS), answers.head(ROWS), "regression", code="declared", params={"factor": 2.0})


def _from_code(folder: Path) -> Logged:
    frame = _numbers()[["a", "b"]]
    total = frame["a"] + frame["b"]
    answers = pd.DataFrame({"score": total, "band": np.where(total > 1, "high", "low")})
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(MODULES / "scored.py"),
        signature=infer_signature(frame, answers, params={"weight": 1.0}),
        input_example=frame.head(30),
        pip_requirements=[],
    )
    return Logged(frame.head(ROWS), answers.head(ROWS).to_dict("records"), "raw", code="declared", explained=None)


def _own_transformer(folder: Path) -> Logged:
    from own_steps import Doubled

    frame = _numbers()
    target = (frame["a"] > 0).astype(int)
    model = make_pipeline(Doubled(), LogisticRegression()).fit(frame, target)
    _save(
        "sklearn",
        folder,
        model,
        frame,
        model.predict(frame),
        code_paths=[str(MODULES / "own_steps.py")],
        serialization_format="cloudpickle",
    )
    first = frame.head(ROWS)
    return Logged(first, model.predict_proba(first)[:, 1], "binary", model.predict(first).tolist(), code="declared")


FLAVOURS: dict[str, Callable[[Path], Logged]] = {
    "catboost, categories and text labels": _catboost_text_labels,
    "catboost, several classes": _catboost_multiclass,
    "catboost, a number": _catboost_regressor,
    "catboost, two numbers": _catboost_two_targets,
    "catboost without a wrapper": _raw_catboost,
    "catboost, counts": lambda folder: _catboost_counts("Poisson", folder),
    "catboost, a compound of counts": lambda folder: _catboost_counts("Tweedie:variance_power=1.5", folder),
    "catboost, a number and how sure it is": lambda folder: _catboost_counts("RMSEWithUncertainty", folder),
    "catboost, several labels": _catboost_several_labels,
    "catboost, a rank": _catboost_rank,
    "lightgbm, an objective of its own": _lightgbm_objective_of_its_own,
    "statsmodels OLS": _ols,
    "statsmodels Logit": _logit,
    "statsmodels GLM": _glm,
    "statsmodels MNLogit": _multinomial,
    "statsmodels formula": _formula,
    "onnx classifier": lambda folder: _onnx_classifier(folder, zipmap=False),
    "onnx classifier with maps": lambda folder: _onnx_classifier(folder, zipmap=True),
    "onnx regressor": _onnx_regressor,
    "onnx, several inputs and outputs": _onnx_columns,
    "pyfunc with code, artifacts and params": _pyfunc,
    "pyfunc from code": _from_code,
    "sklearn with a transformer of one's own": _own_transformer,
}
