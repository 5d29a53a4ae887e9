"""Results of statsmodels with the interface of an estimator.

Their pickles are held against the allow-list like scikit-learn's. A formula in them would be evaluated as Python while they are
loaded, and again for every row: it is read first.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import InputColumn
from model_server.engines import formulas
from model_server.refusals import Refused

Matrix = npt.NDArray[np.float64]
_DATA = "statsmodels.base.data"
_BINARY = ("Logit", "Probit")


def guarded(found: Any, module: str) -> Any:
    """Return a class that a pickle asked for; one that evaluates a formula when it is restored reads it first."""
    if module != _DATA or not hasattr(found, "__setstate__"):
        return found
    restore = found.__setstate__

    def read_first(self: Any, state: Any) -> None:
        if type(state) is not dict:
            raise Refused("unsafe_formula", "The model's data are not described as statsmodels does.")
        if "formula" in state and (wrong := formulas.problem(state["formula"])):
            raise Refused(
                "unsafe_formula",
                f"The model's formula holds {wrong}, which would be run as Python: a formula has columns, operators, numpy's "
                "functions (np.log, ...) and C, I, Q, bs, ... only. Compute the rest before the model, or log it with mlflow.pyfunc.",
            )
        restore(self, state)

    return type(found.__name__, (found,), {"__setstate__": read_first, "__module__": found.__module__})


class StatsmodelsResults:
    """Fitted results of a model of a table: a number for each row, or the probabilities of classes."""

    def __init__(self, results: Any) -> None:
        self.results = results
        model = results.model
        kind = type(model).__name__
        labels = _labels(model, kind)
        self.answers_numbers = labels is None
        if labels is not None:
            self.classes_ = np.asarray(labels)
        self._formula = hasattr(model.data, "model_spec") or hasattr(model.data, "design_info")
        names = _names(model, formula=self._formula)
        self.feature_names_in_ = names
        self.n_features_in_ = len(names)
        self.known_inputs = _known(model, names, formula=self._formula)

    def predict_proba(self, rows: Any) -> Matrix:
        """Return probabilities [rows, classes]."""
        found = np.asarray(self._asked(rows), dtype=np.float64)
        return found if found.ndim > 1 else np.column_stack([1 - found, found])

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """Return the value of each row, or its likeliest class."""
        if self.answers_numbers:
            return np.asarray(self._asked(rows), dtype=np.float64)
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def _asked(self, rows: Any) -> Any:
        # a formula takes columns by name; else statsmodels wants a matrix, in which a constant is a column like others
        return self.results.predict(rows if self._formula else np.asarray(rows, dtype=np.float64))


def results_of(loaded: Any) -> StatsmodelsResults:
    """Wrap what was unpickled. Raises Refused `no_predict` for what does not answer rows of a table."""
    model = getattr(loaded, "model", None)
    if model is None or getattr(model, "exog", None) is None or not hasattr(loaded, "predict"):
        raise Refused("no_predict", "The statsmodels object does not answer rows of a table; log the fitted results.")
    return StatsmodelsResults(loaded)


def _labels(model: Any, kind: str) -> list[int] | None:
    """Classes are numbered: 0 and 1 of a binary model; a multinomial one counts what it was given, in order."""
    if kind in _BINARY:
        return [0, 1]
    if kind == "MNLogit":
        return _given(model)
    family = getattr(model, "family", None)
    # a binomial share of several trials is a number and no class
    is_binary = kind == "GLM" and type(family).__name__ == "Binomial" and set(np.unique(model.endog)) <= {0.0, 1.0}
    return [0, 1] if is_binary else None


def _given(model: Any) -> list[Any]:
    named = getattr(model, "_ynames_map", None) or {}
    if len(named) == int(model.J):
        return [_number(named[place]) for place in sorted(named)]
    return list(range(int(model.J)))


def _number(text: Any) -> Any:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return str(text)
    return int(value) if value.is_integer() else value


def _names(model: Any, *, formula: bool) -> list[str]:
    if not formula:
        return [str(name) for name in model.exog_names]
    frame = model.data.frame
    target = {str(name) for name in np.ravel(model.endog_names)}
    said = formulas.names_in(model.formula)
    return [str(name) for name in frame.columns if str(name) in said and str(name) not in target]


def _known(model: Any, names: list[str], *, formula: bool) -> tuple[InputColumn, ...]:
    if not formula:
        return tuple(InputColumn(name, "double") for name in names)
    kinds = {str(name): kind for name, kind in model.data.frame.dtypes.items()}
    return tuple(InputColumn(name, _type_of(kinds[name])) for name in names)


def _type_of(kind: Any) -> str:
    letter = getattr(kind, "kind", "O")
    return {"f": "double", "i": "long", "u": "long", "b": "boolean"}.get(letter, "string")
