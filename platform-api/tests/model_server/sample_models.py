"""Real models on real data, logged the way a data scientist logs them, without MLflow's slow requirement inference."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from model_server.build.report import Report

Data = tuple[pd.DataFrame, Any]
Fitted = tuple[Any, pd.DataFrame, str]


def cancer() -> Data:
    return load_breast_cancer(return_X_y=True, as_frame=True)


def diabetes() -> Data:
    return load_diabetes(return_X_y=True, as_frame=True)


def digits() -> Data:
    return load_digits(return_X_y=True, as_frame=True)


def customers() -> Data:
    """Text, numbers and missing values; the classes are text."""
    random = np.random.default_rng(3)
    rows = 400
    frame = pd.DataFrame(
        {
            "plan": random.choice(["basic", "plus", "max"], rows),
            "age": random.uniform(18, 80, rows),
            "spend": np.where(random.random(rows) < 0.1, np.nan, random.gamma(2.0, 50.0, rows)),
        }
    )
    return frame, np.where((frame["plan"] == "basic") ^ (frame["age"] > 50), "leaves", "stays")


def coded() -> Data:
    """A category as a number: HistGradientBoosting splits on sets of codes, which ONNX trees cannot say."""
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"code": random.integers(0, 6, 300).astype(float), "size": random.normal(size=300)})
    return frame, (frame["code"].isin([1.0, 4.0]) ^ (frame["size"] > 0)).astype(int)


def noisy() -> Data:
    """So few rows that a support vector machine's probabilities, from a fit of their own, often favour the other class."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(40, 4)), columns=list("abcd"))
    return frame, (frame["a"] + random.normal(size=40) * 1.5 > 0.3).astype(int)


def _fit(make: Callable[[], Any], data: Callable[[], Data], flavor: str = "sklearn") -> Fitted:
    frame, target = data()
    return make().fit(frame, target), frame, flavor


def _mixed() -> Any:
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["plan"]), remainder="passthrough")
    return make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20, random_state=0))


def _lightgbm_booster() -> Fitted:
    frame, target = cancer()
    model = lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(frame, target)
    return model.booster_, frame, "lightgbm"


MODELS: dict[str, Callable[[], Fitted]] = {
    "logistic pipeline": lambda: _fit(lambda: make_pipeline(StandardScaler(), LogisticRegression()), cancer),
    "hist gradient boosting": lambda: _fit(lambda: HistGradientBoostingClassifier(max_iter=40), cancer),
    "hist gradient regression": lambda: _fit(lambda: HistGradientBoostingRegressor(max_iter=30), diabetes),
    "random forest": lambda: _fit(lambda: RandomForestClassifier(20, random_state=0), cancer),
    "gradient boosting": lambda: _fit(lambda: GradientBoostingClassifier(n_estimators=20), cancer),
    "support vectors": lambda: _fit(lambda: make_pipeline(StandardScaler(), SVC(probability=True)), cancer),
    "two minds": lambda: _fit(lambda: make_pipeline(StandardScaler(), SVC(probability=True, random_state=0)), noisy),
    "ridge": lambda: _fit(Ridge, diabetes),
    "xgboost": lambda: _fit(lambda: xgboost.XGBClassifier(n_estimators=20, n_jobs=1), cancer, "xgboost"),
    "lightgbm": lambda: _fit(lambda: lightgbm.LGBMRegressor(n_estimators=20, verbose=-1), diabetes, "lightgbm"),
    "lightgbm booster": _lightgbm_booster,
    "digits": lambda: _fit(lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)), digits),
    "text and gaps": lambda: _fit(_mixed, customers),
    "categorical splits": lambda: _fit(
        lambda: HistGradientBoostingClassifier(max_iter=10, categorical_features=[0]), coded
    ),
}


def log(
    model: Any,
    frame: pd.DataFrame,
    flavor: str,
    folder: Path,
    *,
    examples: int = 40,
    predicted: Any = None,
    **options: Any,
) -> Path:
    """Write the artifact folder with signature and example; `predicted` where the model does not take the frame itself."""
    if flavor == "sklearn":
        options.setdefault("serialization_format", "cloudpickle")
    save = getattr(mlflow, flavor).save_model
    signature = infer_signature(frame, model.predict(frame) if predicted is None else predicted)
    example = frame.head(examples) if examples else None
    save(model, str(folder), signature=signature, input_example=example, pip_requirements=[], **options)
    return folder


@dataclass(frozen=True)
class Built:
    """One sample model, logged and built."""

    folder: Path
    artifact: Path
    report: Report
    model: Any
    frame: pd.DataFrame

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.report.steps if step["name"] == name)

    def rows(self, start: int, stop: int) -> list[list[Any]]:
        part = self.frame.iloc[start:stop].astype(object)
        return part.where(part.notna(), None).to_numpy().tolist()
