"""Find out, by asking, which numbers stand behind a model's labels: how odd a row is, or how far from each centre."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_server.bundle import Form, InputColumn, Scores, Scoring
from model_server.contract.known_row import blank
from model_server.engines.answers import WrongAnswers, one_per_row, without_gaps
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel

Rows = list[list[Any]]
# two counts of rows that are both no coincidence, as in build/answers.py
_COUNTS = (2, 3)


def scores_of(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows, form: Form) -> Scores | None:
    """Return how the model scores rows beside their labels, None when it does not: then the label alone is its answer."""
    if native.task != "raw":
        return None
    rows = samples or [list(blank(inputs))]
    for method in _methods(native.estimator):
        try:
            return Scores(method, _shape(native.doing("raw", (), method), inputs, rows, form))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112 - a library says no in its own words; the next method is the next question
            continue
    return None


def _methods(estimator: Any) -> Iterator[Scoring]:
    from sklearn.base import is_clusterer

    if hasattr(estimator, "decision_function"):
        yield "decision_function"
    # a transformer that also predicts does not measure distances, but for clusterers
    if hasattr(estimator, "__sklearn_tags__") and is_clusterer(estimator) and hasattr(estimator, "transform"):
        yield "transform"
    if hasattr(estimator, "predict_proba"):
        yield "predict_proba"


def _shape(native: NativeModel, inputs: tuple[InputColumn, ...], rows: Rows, form: Form) -> tuple[int, ...]:
    """Return what one row is scored with. Raises WrongAnswers, NotFinite, and what the library raises."""
    shapes = set()
    for count in _COUNTS:
        asked = table(inputs, [rows[place % len(rows)] for place in range(count)], form)
        shapes.add(without_gaps(one_per_row(np.asarray(native.scores(asked)), count, None)).shape[1:])
    if len(shapes) != 1:
        raise WrongAnswers(f"The model scores a row in different shapes: {sorted(shapes)}.")
    return tuple(int(size) for size in shapes.pop())
