"""CatBoost models with the interface of an estimator, asked for one thread."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import InputColumn
from model_server.refusals import Refused

Matrix = npt.NDArray[np.float64]
# of its trees: what a model answers unless it says otherwise
_SUM = "RawFormulaVal"
_CLASSES = ("CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker", "CatBoost")


class CatboostModel:
    """A fitted CatBoost, CatBoostClassifier, CatBoostRegressor or CatBoostRanker."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster
        if booster.get_embedding_feature_indices():
            raise Refused("unsupported_input_type", "The CatBoost model takes embeddings; inputs are single values.")
        # a raw CatBoost knows its classes as well when its loss is one of classes
        classes = np.asarray(booster.classes_)
        self.answers_numbers = len(classes) == 0
        if not self.answers_numbers:
            self.classes_ = classes
        loss = str(booster.get_all_params().get("loss_function", ""))
        self._answers_with = _prediction_type(type(booster).__name__, loss)
        # one tree value a row: a margin or a number
        several = loss.startswith(("Multi", "RMSEWithUncertainty"))
        self.answers_once = len(classes) in (0, 2) and not several and self._answers_with == _SUM
        text = {*booster.get_cat_feature_indices(), *booster.get_text_feature_indices()}
        names = [str(name) for name in booster.feature_names_]
        self.n_features_in_ = len(names)
        self.feature_names_in_ = names
        # categories may have been text or whole numbers, which CatBoost reads as the same text
        self.known_inputs = tuple(
            InputColumn(name, "string" if place in text else "double") for place, name in enumerate(names)
        )

    def predict_proba(self, rows: Any) -> Matrix:
        """Return probabilities [rows, classes]."""
        return np.asarray(self.booster.predict(rows, prediction_type="Probability", thread_count=1), dtype=np.float64)

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """Return the class of each row, or its value, its values, or which of several labels it has."""
        if self.answers_numbers:
            # a ranker takes no type
            said = {} if self._answers_with == _SUM else {"prediction_type": self._answers_with}
            return np.asarray(self.booster.predict(rows, **said, thread_count=1), dtype=np.float64)
        found = np.asarray(self.booster.predict(rows, prediction_type="Class", thread_count=1))
        # a class is named in a column of its own
        return found[:, 0] if found.shape[1:] == (1,) else found


def _prediction_type(kind: str, loss: str) -> str:
    """Return what `predict` of a regressor means by its loss, as CatBoost's own does.

    CatBoost knows it from what the regressor was made with, which it forgets when it reads a model from bytes.
    """
    if kind == "CatBoostRegressor" and loss.startswith(("Poisson", "Tweedie")):
        return "Exponent"
    return "RMSEWithUncertainty" if kind == "CatBoostRegressor" and loss == "RMSEWithUncertainty" else _SUM


def load_catboost(path: Path, kind: str) -> CatboostModel:
    """Read a model in CatBoost's own binary format; `kind` is the class MLflow noted. Raises what CatBoost raises."""
    import catboost

    name = kind.rsplit(".", 1)[-1]
    booster = getattr(catboost, name if name in _CLASSES else "CatBoost")()
    # as bytes: CatBoost asks by access(2) whether a file is there, which knows nothing of what this process may read
    booster.load_model(blob=path.read_bytes())
    return CatboostModel(booster)
