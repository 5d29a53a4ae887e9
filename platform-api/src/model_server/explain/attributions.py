"""The three SHAP methods behind an explanation."""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model_server.build.tree_ensemble import NotCompilable
from model_server.build.tree_readers import read_trees
from model_server.bundle import Form, InputColumn
from model_server.contract.problems import BadInput
from model_server.contract.values import NUMERIC
from model_server.engines.answers import one_per_row
from model_server.engines.boosters import LightgbmBooster, XgboostBooster
from model_server.engines.catboost_model import CatboostModel
from model_server.engines.inputs import array, table
from model_server.engines.native import NativeModel
from model_server.explain.background import Rows
from model_server.explain.explainer import NotExplainable
from model_server.explain.leaf_tables import LeafTables

Matrix = npt.NDArray[np.float64]

# Explanations of the same row must not change between calls.
_SEED = 20_261_125
# Rounds of forward and backward permutations; each costs 2 x inputs x background predictions per row.
_PERMUTATIONS = 8
_EXACT_INPUTS = 8
# Predictions one explanation may cost: wide models get fewer rounds, which is still additive, only noisier.
_MAX_PREDICTIONS = 40_000


class PermutationAttribution:
    """Model-agnostic SHAP on the model's own output. Works on row numbers of a value table, so text columns work too."""

    name = "permutation"

    def __init__(self, native: NativeModel, inputs: tuple[InputColumn, ...], form: Form, background: Rows) -> None:
        self._native, self._inputs, self._form, self._background = native, inputs, form, background
        affordable = _MAX_PREDICTIONS // (2 * len(inputs) * len(background))
        self._rounds = min(_PERMUTATIONS, max(1, affordable))
        if len(inputs) <= _EXACT_INPUTS:
            self.name = "exact"

    def __call__(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """Attribute each row against the background."""
        values, bases = zip(*(self._one(row) for row in rows), strict=True)
        return np.stack(values), np.asarray(bases[0])

    def _one(self, row: list[Any]) -> tuple[Matrix, Matrix]:
        import shap

        try:
            known = table(self._inputs, [*self._background, row], self._form)
        except BadInput as error:
            raise NotExplainable(
                "The row's tensor is of another length than those it is compared with, so no part of it can take their place."
            ) from error

        def outputs(places: npt.NDArray[np.float64]) -> Matrix:
            found = self._native.explained(_mixed(known, places.astype(np.intp), self._form))
            return one_per_row(found, len(places), None).reshape(len(places), -1)

        width = len(self._inputs)
        places = np.repeat(np.arange(len(self._background), dtype=np.float64)[:, None], width, axis=1)
        masker = shap.maskers.Independent(places, max_samples=len(places))
        asked = np.full((1, width), float(len(self._background)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.name == "exact":
                found = shap.explainers.Exact(outputs, masker)(asked, silent=True)
            else:
                explainer = shap.explainers.Permutation(outputs, masker, seed=_SEED)
                found = explainer(asked, max_evals=self._rounds * (2 * width + 1), silent=True)
        return np.asarray(found.values[0]).reshape(width, -1), np.asarray(found.base_values[0]).reshape(-1)


def _mixed(known: Any, places: npt.NDArray[np.intp], form: Form) -> Any:
    """Build rows from cells of known rows: SHAP mixes row numbers, the model sees the values they stand for.

    A tensor is one input, however many numbers it holds.
    """
    if form == "array":
        return known[places, np.arange(places.shape[1])]
    if form == "tensor":
        return known[places[:, 0]]
    if form == "tensors":
        return {name: values[places[:, place]] for place, (name, values) in enumerate(known.items())}
    import pandas as pd

    if isinstance(known, pd.Series):
        return known.take(places[:, 0]).reset_index(drop=True)
    # columns keep their types: what is missing stays what it is
    cells = {name: known[name].take(places[:, place]).array for place, name in enumerate(known.columns)}
    return pd.DataFrame(cells, columns=known.columns)


class LinearAttribution:
    """Exact SHAP of a plain linear regressor: coefficient times distance from the background's mean."""

    name = "linear"

    def __init__(
        self, coefficients: Matrix, intercept: float, inputs: tuple[InputColumn, ...], background: Rows
    ) -> None:
        import shap

        self._inputs = inputs
        data = array(inputs, background).astype(np.float64)
        self._explainer = shap.LinearExplainer((coefficients, intercept), shap.maskers.Independent(data, len(data)))

    @classmethod
    def of(cls, native: NativeModel, inputs: tuple[InputColumn, ...], background: Rows) -> Self | None:
        """Return the method when the model is a linear regressor on numeric inputs."""
        coefficients = getattr(native.estimator, "coef_", None)
        intercept = getattr(native.estimator, "intercept_", None)
        numeric = all(column.type in NUMERIC for column in inputs)
        if native.task != "regression" or coefficients is None or intercept is None or not numeric:
            return None
        flat = np.asarray(coefficients, dtype=np.float64).ravel()
        if len(flat) != len(inputs) or np.size(intercept) != 1:
            return None
        return cls(flat, float(np.ravel(intercept)[0]), inputs, background)

    def __call__(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """Attribute the rows."""
        values = np.asarray(self._explainer.shap_values(array(self._inputs, rows).astype(np.float64)))
        return values[:, :, None], np.ravel(self._explainer.expected_value).astype(np.float64)


class TableAttribution:
    """Tree SHAP against the background by tables, for trees that add up in the space that is explained."""

    name = "tree"

    def __init__(self, tables: LeafTables, base: Matrix, inputs: tuple[InputColumn, ...]) -> None:
        self._tables, self._base, self._inputs = tables, base, inputs

    @classmethod
    def of(cls, native: NativeModel, inputs: tuple[InputColumn, ...], background: Rows) -> Self | None:
        """Return the method for ensembles whose answer is the sum or the mean of their trees, where tables are not too large."""
        if native.scoring is not None or any(column.type not in NUMERIC for column in inputs):
            return None
        try:
            ensemble = read_trees(native.estimator)
        except NotCompilable:
            return None
        if ensemble is None or ensemble.link not in ("identity", "mean_probabilities"):
            return None
        data = array(inputs, background).astype(np.float64)
        tables = LeafTables.of(ensemble, data)
        if tables is None:
            return None
        answers = np.asarray(native.explained(data), dtype=np.float64).reshape(len(data), -1)
        return cls(tables, answers.mean(axis=0), inputs)

    def __call__(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """Attribute the rows."""
        return self._tables(array(self._inputs, rows).astype(np.float64)), self._base


class TreeAttribution:
    """Tree SHAP in the probability space for classifiers: against the background, or by the trees' own counts.

    Without a background, trees that add up margins (boosting of classifiers) are not additive in that space; the
    explainer finds out and goes on.
    """

    name = "tree"

    def __init__(self, explainer: Any, inputs: tuple[InputColumn, ...], *, binary: bool) -> None:
        self._explainer, self._inputs, self._binary = explainer, inputs, binary

    @classmethod
    def of(cls, native: NativeModel, inputs: tuple[InputColumn, ...], background: Rows | None) -> Self | None:
        """Return the method when SHAP reads the model's trees and can speak the model's space."""
        import shap

        if native.scoring is not None or any(column.type not in NUMERIC for column in inputs):
            return None
        if isinstance(native.estimator, CatboostModel) and not native.estimator.answers_once:
            # explaining one of three classes ended the process (SHAP 0.50, CatBoost 1.2); permutation SHAP answers instead
            return None
        raw_booster = isinstance(native.estimator, XgboostBooster | LightgbmBooster | CatboostModel)
        estimator = native.estimator.booster if raw_booster else native.estimator
        space = "raw" if native.task == "regression" else "probability"
        data = array(inputs, background or [[0.0] * len(inputs)]).astype(np.float64)
        try:
            if background is None:
                explainer = shap.TreeExplainer(estimator, feature_perturbation="tree_path_dependent")
            else:
                explainer = shap.TreeExplainer(
                    estimator, data, model_output=space, feature_perturbation="interventional"
                )
            explainer.shap_values(data[:1], check_additivity=False)
        except Exception:  # noqa: BLE001 - SHAP says in many ways that it does not read a model; permutation SHAP reads all
            return None
        found = cls(explainer, inputs, binary=native.task == "binary")
        found.name = "tree" if background is not None else "tree_path_dependent"
        return found

    def __call__(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """Attribute the rows; for a binary model with one output, both classes are given."""
        data = array(self._inputs, rows).astype(np.float64)
        values = np.asarray(self._explainer.shap_values(data, check_additivity=False), dtype=np.float64)
        base = np.ravel(np.asarray(self._explainer.expected_value, dtype=np.float64))
        if values.ndim == 2:  # noqa: PLR2004 - one output
            values = values[:, :, None]
        if self._binary and values.shape[2] == 1:
            return np.concatenate([-values, values], axis=2), np.array([1 - base[0], base[0]])
        return values, base
