"""Give raw XGBoost and LightGBM boosters the interface of an estimator: classes_, predict, predict_proba."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


class _Booster:
    """What both boosters share: classes when the objective is a classification, and labels from probabilities."""

    def __init__(self, booster: Any, targets: int, *, classifies: bool) -> None:
        self.booster = booster
        self.targets = targets
        if classifies:
            self.classes_ = np.arange(max(targets, 2))

    def scores(self, rows: Any) -> Matrix:
        raise NotImplementedError

    def predict_proba(self, rows: Any) -> Matrix:
        """Return probabilities [rows, classes]; only for classifying objectives."""
        found = self.scores(rows)
        return found if found.ndim > 1 else np.column_stack([1 - found, found])

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """Return the class of each row, or its value."""
        if hasattr(self, "classes_"):
            return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])
        return self.scores(rows)


def _table(rows: Any) -> Any:
    """Return rows as numbers; a frame with categories as it is, for only the booster knows their codes."""
    held = getattr(rows, "dtypes", None)
    if held is not None and any(str(kind) == "category" for kind in np.ravel(held)):
        return rows
    return np.asarray(rows, dtype=np.float64)


class XgboostBooster(_Booster):
    """A raw xgboost.Booster."""

    def __init__(self, booster: Any) -> None:
        config = json.loads(booster.save_config())["learner"]
        objective = config["objective"]["name"]
        classes = int(config["learner_model_param"]["num_class"])
        # several targets, or quantiles, have a number each: they are no classes to choose among
        targets = int(config["learner_model_param"].get("num_target", 1))
        classifies = targets == 1 and objective in {"binary:logistic", "multi:softprob", "multi:softmax"}
        super().__init__(booster, max(classes, 1), classifies=classifies)
        self.objective = objective
        self.n_features_in_ = int(booster.num_features())
        self.feature_names_in_ = booster.feature_names

    def scores(self, rows: Any) -> Matrix:
        import xgboost

        names = self.booster.feature_names
        data = xgboost.DMatrix(_table(rows), feature_names=names, enable_categorical=True)
        if self.objective != "multi:softmax":
            return np.asarray(self.booster.predict(data), dtype=np.float64)
        margins = np.asarray(self.booster.predict(data, output_margin=True), dtype=np.float64)
        exponents = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


class LightgbmBooster(_Booster):
    """A raw lightgbm.Booster."""

    def __init__(self, booster: Any) -> None:
        described = booster.dump_model(num_iteration=1)
        self.objective = str(described.get("objective", "")).split(" ")[0]
        classifies = self.objective in {"binary", "multiclass", "multiclassova", "cross_entropy"}
        super().__init__(booster, int(described["num_class"]), classifies=classifies)
        self.n_features_in_ = int(booster.num_feature())
        self.feature_names_in_ = list(booster.feature_name())

    def scores(self, rows: Any) -> Matrix:
        return np.asarray(self.booster.predict(_table(rows), num_threads=1), dtype=np.float64)
