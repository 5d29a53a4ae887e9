"""What a row is compared with when no training sample was logged with the model: from the first request on, and said.

In this order, and the answer's `background` names which it was:
- recent inputs, once there are enough of them to stand for what the model is asked;
- the training rows as the model's own trees counted them (path-dependent tree SHAP), for trees that answer in the space
  that is explained;
- the mean or median of the training rows, which a scaler or an imputer at the head of a pipeline keeps;
- the few inputs that are known: earlier ones, or the other rows of the same request;
- zeros. That is a point and no sample, but a stated one: the next requests compare with stored inputs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_server.bundle import Form, InputColumn
from model_server.contract.values import NUMERIC
from model_server.engines.native import NativeModel
from model_server.explain.background import MAX_ROWS, Rows
from model_server.explain.explainer import (
    Explainer,
    Explanation,
    NoBackground,
    NotAdditive,
    compared_with,
    make_explainer,
)

# fewer recent inputs say little about what a model is usually asked
ENOUGH_ROWS = 20
_KEPT = ("mean_", "center_", "statistics_")
_NOTHING_YET = (
    "Nothing is known yet to compare this row with. Ask again when the model has answered other rows, or log the model "
    "with an input_example of two rows or more."
)


class WithoutSample:
    """Explains one model that has no sample of its own."""

    def __init__(self, native: NativeModel, inputs: tuple[InputColumn, ...], form: Form) -> None:
        self._native, self._inputs, self._form = native, inputs, form
        self._numeric = all(column.type in NUMERIC for column in inputs)
        self._trees = None if native.task == "raw" and native.scoring is None else self._of_trees()
        self._latest: tuple[Rows, Explainer] | None = None

    def explain(self, asked: Rows, recent: Rows) -> Explanation:
        """Explain checked rows with the first comparison that adds up. Raises NoBackground, NotExplainable."""
        for source, count, explainer in self._comparisons(asked, recent):
            try:
                return compared_with(explainer.explain(asked), source, count)
            except NotAdditive:
                continue
        reference = self._zeros(asked)
        explainer = self._against([reference])
        if reference == asked[0]:
            raise NoBackground(_NOTHING_YET)
        try:
            return compared_with(explainer.explain(asked), "zeros", 1)
        except Exception as error:
            # no model has to accept a row of zeros; whatever it says of one, it is no answer about the caller's row
            raise NoBackground(_NOTHING_YET) from error

    def _comparisons(self, asked: Rows, recent: Rows) -> Iterator[tuple[str, int | None, Explainer]]:
        if len(recent) >= ENOUGH_ROWS:
            yield "recent_inputs", len(recent), self._of_many(recent)
        if self._trees is not None:
            yield "training_trees", None, self._trees
        if (centre := self._centre()) is not None:
            yield "training_statistics", 1, self._against([centre])
        # a row says nothing about itself
        earlier = [row for row in recent if row not in asked]
        together: Rows = []
        for row in asked[:MAX_ROWS]:
            # values may be lists, which no set holds
            if row not in together:
                together.append(row)
        if earlier and len(earlier) >= len(together) - 1:
            yield "recent_inputs", len(earlier), self._against(earlier)
        elif len(together) > 1:
            yield "this_request", len(together), self._against(together)

    def _of_many(self, recent: Rows) -> Explainer:
        # the same rows come with every request: what is made of them is kept until others come
        latest = self._latest
        if latest is None or latest[0] != recent:
            self._latest = latest = recent, self._against(recent)
        return latest[1]

    def _against(self, rows: Rows) -> Explainer:
        return make_explainer(self._native, self._inputs, self._form, rows)

    def _of_trees(self) -> Explainer | None:
        from model_server.explain.attributions import TreeAttribution

        trees = TreeAttribution.of(self._native, self._inputs, None)
        return None if trees is None else Explainer(self._native, self._inputs, self._form, [trees])

    def _centre(self) -> list[Any] | None:
        """Return the training rows' mean or median as the head of the pipeline keeps it, None when it keeps none."""
        steps = getattr(self._native.estimator, "steps", None)
        if not steps or not self._numeric:
            return None
        kept = next((found for name in _KEPT if (found := getattr(steps[0][1], name, None)) is not None), None)
        values = np.ravel(np.asarray(kept, dtype=np.float64)) if kept is not None else np.empty(0)
        if len(values) != len(self._inputs) or not np.isfinite(values).all():
            return None
        whole = ("long", "integer")
        return [
            float(round(value)) if column.type in whole else float(value)
            for column, value in zip(self._inputs, values, strict=True)
        ]

    def _zeros(self, asked: Rows) -> list[Any]:
        """Return a row of zeros; text stays as it is in the row that is explained, so that nothing is attributed to it."""
        zeros = {"boolean": False, **dict.fromkeys(NUMERIC, 0.0)}
        return [zeros.get(column.type, value) for column, value in zip(self._inputs, asked[0], strict=True)]
