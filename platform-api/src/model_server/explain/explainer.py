"""Explanations by SHAP: how much each input moved one answer away from the average answer over a background.

Space: classifiers are explained in the probability space, because that is what `predict` returns and what an approver
can read; regressors in the value space. A multi-class row is explained for its most probable class, or for the class
asked for; a regressor of several targets is explained for each of them. Method: exact for linear regressors, tree SHAP for tree ensembles whose trees reproduce the model's output,
and permutation SHAP on the model's own output for everything else (pipelines with preprocessing among them).

Invariant, checked for every answer: base value + sum of attributions = raw output, within 1e-6 of max(1, |output|).
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from model_server.bundle import Form, InputColumn
from model_server.engines.answers import one_per_row
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel
from model_server.explain.background import Rows

TOLERANCE = 1e-6
Space = Literal["probability", "value"]
Matrix = npt.NDArray[np.float64]


class NoBackground(Exception):
    """No background rows are known, so there is nothing to compare a row with."""


class NotExplainable(Exception):
    """The model's answers are neither probabilities nor values (task raw), so they are not attributed."""


class NotAdditive(Exception):
    """The attributions do not add up to the model's output; no explanation is better than a wrong one."""


@dataclass(frozen=True)
class Explanation:
    """Attributions [rows][inputs], base values and raw outputs [rows], all in `space`; `algorithm` names the SHAP method.

    Of a regressor with several targets each row has one of these per target: [rows][targets][inputs], [rows][targets].
    """

    feature_names: list[str]
    shap_values: list[Any]
    base_values: list[Any]
    raw_output: list[Any]
    space: Space
    algorithm: str
    explained_labels: list[Any] | None
    background: dict[str, Any] = field(default_factory=dict)
    """What the rows were compared with: source, number of rows, and a sentence."""

    def as_json(self) -> dict[str, Any]:
        """Return the answer of /explain."""
        return {"method": "shap", **self.__dict__}


# where rows came from, as a person reads it; files that were logged with the model keep their names
_SOURCES = {
    "input_example": "the input example logged with the model",
    "training_sample": "the training sample logged with the model's run",
    "recent_inputs": "inputs this model was asked before",
    "training_trees": "the training rows, as the model's own trees counted them",
    "training_statistics": "the mean or median of the training rows that the model's first step keeps",
    "this_request": "the rows of this request, since no earlier ones are known",
    "zeros": "zeros (text as in the row), since no earlier rows are known yet; later requests compare with stored inputs",
}


def compared_with(explanation: Explanation, source: str, rows: int | None) -> Explanation:
    """Return the explanation with what it rests on. `rows` is None when no rows were needed."""
    detail = f"Compared with {_SOURCES.get(source, f'the rows of {source}, logged with the model')}."
    return replace(explanation, background={"source": source, "rows": rows, "detail": detail})


class Attribution(Protocol):
    """One SHAP method for one model: attributions [rows, inputs, outputs] and base values [outputs]."""

    name: str

    def __call__(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """Attribute the model's outputs for checked rows."""


class Explainer:
    """Explains rows with the first method that is additive to the model's output."""

    def __init__(
        self, native: NativeModel, inputs: tuple[InputColumn, ...], form: Form, attributions: list[Attribution]
    ) -> None:
        self._native, self._inputs, self._form = native, inputs, form
        self._attributions = attributions
        self.space: Space = "value" if native.task == "regression" else "probability"

    def explain(self, rows: Rows) -> Explanation:
        """Explain checked rows. Raises NotAdditive when no method's attributions add up, WrongAnswers."""
        found = one_per_row(self._native.outputs(table(self._inputs, rows, self._form)), len(rows), None)
        several = self._native.task == "regression" and found.ndim > 1
        outputs = found.reshape(len(rows), -1)
        chosen = self._chosen(outputs)
        raw = np.take_along_axis(outputs, chosen, axis=1)
        for attribution in self._attributions:
            values, base = attribution(rows)
            # [rows, chosen, inputs]
            picked = np.take_along_axis(values.transpose(0, 2, 1), chosen[:, :, None], axis=1)
            bases = base[chosen]
            if is_additive(picked, bases, raw):
                return self._explanation(attribution.name, picked, bases, raw, chosen, several=several)
        raise NotAdditive("The attributions do not add up to the model's output.")

    def _chosen(self, outputs: Matrix) -> npt.NDArray[np.int64]:
        """The outputs that are explained [rows, chosen]: the positive class, the most probable class, or every value."""
        if self._native.task == "multiclass":
            return np.asarray(outputs.argmax(axis=1), dtype=np.int64)[:, None]
        if self._native.task == "binary":
            return np.ones((len(outputs), 1), dtype=np.int64)
        return np.tile(np.arange(outputs.shape[1]), (len(outputs), 1))

    def _explanation(
        self,
        algorithm: str,
        values: Matrix,
        bases: Matrix,
        raw: Matrix,
        chosen: npt.NDArray[np.int64],
        *,
        several: bool,
    ) -> Explanation:
        labels = [self._native.labels[place] for place in chosen[:, 0]] if self._native.labels else None
        names = [column.name for column in self._inputs]
        shares, base, raw_output = (part.tolist() if several else part[:, 0].tolist() for part in (values, bases, raw))
        return Explanation(names, shares, base, raw_output, self.space, algorithm, labels)


def is_additive(values: Matrix, bases: Matrix, raw: Matrix) -> bool:
    """Whether base + sum of attributions (the last axis) equals the raw output, within TOLERANCE of max(1, |output|)."""
    gap = np.abs(bases + values.sum(axis=-1) - raw)
    return bool((gap <= TOLERANCE * np.maximum(1.0, np.abs(raw))).all())


def make_explainer(native: NativeModel, inputs: tuple[InputColumn, ...], form: Form, background: Rows) -> Explainer:
    """Choose the methods for a model. Raises NoBackground and NotExplainable.

    A special method is kept only when it reproduces the model's outputs on the background; permutation SHAP, which is
    additive by construction, stands behind it.
    """
    from model_server.explain.attributions import LinearAttribution, PermutationAttribution, TreeAttribution

    if native.task == "raw":
        raise NotExplainable(
            "This model answers neither class probabilities nor a regressor's values; only those are explained."
        )
    if not background:
        raise NoBackground(
            "No background rows are known: log the model with an input_example of two rows or more, or explain it later: its recent inputs will do."
        )
    model_agnostic = PermutationAttribution(native, inputs, form, background)
    explainer = Explainer(native, inputs, form, [model_agnostic])
    for kind in (LinearAttribution, TreeAttribution):
        special = kind.of(native, inputs, background)
        if special is None:
            continue
        candidate = Explainer(native, inputs, form, [special])
        try:
            candidate.explain(background)
        except NotAdditive:
            continue
        return Explainer(native, inputs, form, [special, model_agnostic])
    return explainer
