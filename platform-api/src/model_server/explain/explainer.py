"""Explanations by SHAP: how much each input moved one answer away from the average answer over a background.

Space: classifiers are explained in the probability space, because that is what `predict` returns and what an approver
can read; regressors in the value space; detectors, clusterers and other models of labels in the space of their scores. A
multi-class row is explained for its most probable class, and `by_class` has every class; several values or scores are
explained each. Method: exact for linear regressors, tree SHAP for tree ensembles whose trees reproduce the model's output,
and permutation SHAP on the model's own output for everything else (pipelines with preprocessing among them).

Invariant, checked for every answer: base value + sum of attributions = raw output, within 1e-6 of max(1, |output|).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from model_server.bundle import AnswerForm, Form, InputColumn
from model_server.engines.answers import one_per_row
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel
from model_server.explain.background import Rows

TOLERANCE = 1e-6
Space = Literal["probability", "value", "score"]
Matrix = npt.NDArray[np.float64]
# more attributions than an answer bears for classes nobody asked about
_MOST_BY_CLASS = 100_000
_BY_ROW = ("shap_values", "base_values", "raw_output")


class NoBackground(Exception):
    """No background rows are known, so there is nothing to compare a row with."""


class NotExplainable(Exception):
    """The model's answers are no numbers, or have no one place for each, so they are not attributed."""


class NotAdditive(Exception):
    """The attributions do not add up to the model's output; no explanation is better than a wrong one."""


@dataclass(frozen=True)
class Explanation:
    """Attributions [rows][inputs], base values and raw outputs [rows], all in `space`; `algorithm` names the SHAP method.

    Of several values or scores each row has one of these per value: [rows][values][inputs], [rows][values]. `by_class` has
    them for every class of a multi-class model, not only for the most probable one.
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
    by_class: dict[str, Any] | None = None

    def of(self, rows: slice) -> "Explanation":
        """Return the explanation of some of the rows."""
        every = self.by_class
        parts = None if every is None else {name: every[name][rows] for name in _BY_ROW}
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in _BY_ROW},
            explained_labels=None if self.explained_labels is None else self.explained_labels[rows],
            by_class=None if every is None or parts is None else {**every, **parts},
        )

    def as_json(self) -> dict[str, Any]:
        """Return the answer of /explain."""
        found = {"method": "shap", **self.__dict__}
        if self.by_class is None:
            del found["by_class"]
        return found


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
        self.space: Space = "score" if native.scoring else "value" if native.task == "regression" else "probability"

    @property
    def joins(self) -> bool:
        """Whether rows of several requests may be explained together: trees and linear models look at one row at a time."""
        return len(self._attributions) > 1

    def together(self, parts: Sequence[Rows]) -> list[Explanation]:
        """Explain the rows of several requests by the first method alone. Raises what `explain` raises."""
        whole = Explainer(self._native, self._inputs, self._form, self._attributions[:1]).explain(
            [row for rows in parts for row in rows]
        )
        found, end = [], 0
        for rows in parts:
            start, end = end, end + len(rows)
            found.append(whole.of(slice(start, end)))
        return found

    def explain(self, rows: Rows) -> Explanation:
        """Explain checked rows. Raises NotAdditive when no method's attributions add up, WrongAnswers."""
        found = one_per_row(self._native.explained(table(self._inputs, rows, self._form)), len(rows), None)
        outputs = found.reshape(len(rows), -1)
        for attribution in self._attributions:
            values, base = attribution(rows)
            # [rows, outputs, inputs]
            every = values.transpose(0, 2, 1)
            bases = np.tile(base, (len(rows), 1))
            if every.shape[1] == outputs.shape[1] and is_additive(every, bases, outputs):
                return self._explanation(attribution.name, every, bases, outputs, one=found.ndim == 1)
        raise NotAdditive("The attributions do not add up to the model's output.")

    def _explanation(self, algorithm: str, values: Matrix, bases: Matrix, raw: Matrix, *, one: bool) -> Explanation:
        """Say it for the positive class, for the most probable class, or for every value; `one`: there is only one."""
        names, known = [column.name for column in self._inputs], self._native.labels
        if not known:
            share, base, said = (part[:, 0].tolist() if one else part.tolist() for part in (values, bases, raw))
            return Explanation(names, share, base, said, self.space, algorithm, None)
        chosen = np.ones(len(raw), np.intp) if self._native.task == "binary" else raw.argmax(axis=1)
        share, base, said = (part[np.arange(len(raw)), chosen].tolist() for part in (values, bases, raw))
        labels, every = [known[place] for place in chosen], self._by_class(values, bases, raw)
        return Explanation(names, share, base, said, self.space, algorithm, labels, by_class=every)

    def _by_class(self, values: Matrix, bases: Matrix, raw: Matrix) -> dict[str, Any] | None:
        # of two classes, one is what the other is not
        if self._native.task == "binary" or values.size > _MOST_BY_CLASS:
            return None
        parts = {"shap_values": values, "base_values": bases, "raw_output": raw}
        return {"labels": list(self._native.labels), **{name: part.tolist() for name, part in parts.items()}}


def is_additive(values: Matrix, bases: Matrix, raw: Matrix) -> bool:
    """Whether base + sum of attributions (the last axis) equals the raw output, within TOLERANCE of max(1, |output|)."""
    gap = np.abs(bases + values.sum(axis=-1) - raw)
    return bool((gap <= TOLERANCE * np.maximum(1.0, np.abs(raw))).all())


def explainable(native: NativeModel, answer: AnswerForm) -> NativeModel:
    """Return the model as it is explained: numbers that a raw model answers are values like a regressor's."""
    is_number = answer.datatype == "FP64" and answer.fields is None and answer.shape is not None
    if native.task == "raw" and native.scoring is None and is_number and len(answer.shape or ()) <= 1:
        return native.doing("regression", ())
    return native


def make_explainer(native: NativeModel, inputs: tuple[InputColumn, ...], form: Form, background: Rows) -> Explainer:
    """Choose the methods for a model. Raises NoBackground and NotExplainable.

    A special method is kept only when it reproduces the model's outputs on the background; permutation SHAP, which is
    additive by construction, stands behind it.
    """
    from model_server.explain.attributions import (
        LinearAttribution,
        PermutationAttribution,
        TableAttribution,
        TreeAttribution,
    )

    if native.task == "raw" and native.scoring is None:
        raise NotExplainable(
            "This model answers neither probabilities, nor numbers, nor scores: labels, texts and named values do not add up."
        )
    if not background:
        raise NoBackground(
            "No background rows are known: log the model with an input_example of two rows or more, or explain it later: its recent inputs will do."
        )
    model_agnostic = PermutationAttribution(native, inputs, form, background)
    explainer = Explainer(native, inputs, form, [model_agnostic])
    for kind in (LinearAttribution, TableAttribution, TreeAttribution):
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
