"""What becomes of one estimator of scikit-learn: fitted to a small table, logged, built, served, compared with itself."""

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances

from model_server.build.__main__ import build
from model_server.engines.answers import numbers
from model_server.refusals import Refused
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

ROWS = 60
_TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


class Outcome(NamedTuple):
    """`state`: served, refused, differs, or unfit for what fits no table of numbers. `says`: how, or why not."""

    state: str
    engine: str
    says: str


def names() -> list[str]:
    """Return every estimator that predicts, by name."""
    return [name for name, kind in all_estimators() if hasattr(kind, "predict") or name in _BY_DELEGATION]


# what they wrap decides whether they predict
_BY_DELEGATION = {"Pipeline", "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"}


def outcome(name: str, folder: Path) -> Outcome:
    """Fit, log, build, serve and compare one estimator; nothing is raised for what an estimator does."""
    kind = dict(all_estimators())[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model, frame = _fitted(kind)
            expected = np.asarray(model.predict(frame))
        except Exception as error:  # noqa: BLE001 - estimators raise anything for tables that are not theirs
            return Outcome("unfit", "", f"{type(error).__name__}: {str(error).splitlines()[0][:120]}")
        mlflow.sklearn.save_model(
            model,
            str(folder / "artifact"),
            signature=infer_signature(frame, expected),
            input_example=frame.head(20),
            pip_requirements=[],
            serialization_format="cloudpickle",
        )
        report = build(folder / "artifact", folder / "bundle", name="estimator", version=1)
        if report.verdict != "built":
            return Outcome("refused", "", f"{report.reason}: {report.sentence}")
        return _compared(model, frame, expected, folder / "bundle")


def _fitted(kind: Any) -> tuple[Any, pd.DataFrame]:
    """Return a fitted instance and its table: positive numbers, two classes or a line; what an estimator's tags ask for."""
    model = next(iter(_construct_instances(kind)))
    if "n_jobs" in model.get_params(deep=False):
        model.set_params(n_jobs=1)
    tags = get_tags(model)
    random = np.random.default_rng(0)
    frame = pd.DataFrame(np.abs(random.normal(size=(ROWS, 3))) + 0.1, columns=["a", "b", "c"])
    if tags.input_tags.categorical and not tags.input_tags.two_d_array:
        frame = frame.round()
    if tags.input_tags.one_d_array and not tags.input_tags.two_d_array:
        frame = frame[["a"]]
    line = frame.sum(axis=1).to_numpy() + random.normal(scale=0.1, size=ROWS)
    target: Any = (line > np.median(line)).astype(int) if tags.estimator_type == "classifier" else line
    if tags.target_tags.multi_output and not tags.target_tags.single_output:
        target = np.stack([target, target[::-1]], axis=1)
    model.fit(frame, target)
    if not np.array_equal(model.predict(frame), model.predict(frame)):
        # one that guesses is like itself only when it guesses from a seed
        model.set_params(random_state=0).fit(frame, target)
    return model, frame


def _compared(model: Any, frame: pd.DataFrame, expected: Any, bundle: Path) -> Outcome:
    task = json.loads((bundle / "bundle.json").read_text())["task"]
    try:
        served = ServedModel(BuiltFiles(bundle))
        answer = served.predict(list(frame.columns), frame.to_numpy().tolist())
    except (Refused, ValueError) as error:
        return Outcome("differs", served.bundle.engine if "served" in locals() else "", f"it does not answer: {error}")
    engine = served.bundle.engine
    wanted = model.predict_proba(frame) if task in {"binary", "multiclass"} else expected
    wanted = wanted[:, 1] if task == "binary" else wanted
    found = np.asarray(answer.prediction)
    if found.shape != np.asarray(wanted).shape or not np.allclose(found, np.asarray(wanted, found.dtype), **_TOLERANCE):
        return Outcome("differs", engine, "predictions differ")
    if answer.labels is not None and list(answer.labels) != expected.tolist():
        return Outcome("differs", engine, "labels differ")
    if (stated := served.bundle.answer.scores) is not None:
        scores = numbers(np.asarray(getattr(model, stated.method)(frame)))
        if np.shape(answer.scores) != scores.shape or not np.allclose(answer.scores or (), scores, **_TOLERANCE):
            return Outcome("differs", engine, f"scores ({stated.method}) differ")
    return Outcome("served", engine, {"binary": "probability", "multiclass": "probabilities"}.get(task, "as predict"))
