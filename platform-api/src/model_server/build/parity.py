"""Prove that the compiled model answers like the native one, on rows chosen to find differences."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.build.tree_ensemble import NotCompilable
from model_server.bundle import InputColumn
from model_server.engines.compiled import Compiled, run_compiled
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel
from model_server.engines.onnx_native import session_of

PROBABILITY_TOLERANCE = 1e-5
VALUE_TOLERANCE = 1e-5
# Two classes closer than this are a tie in the native model too: neither answer is wrong.
TIE = 1e-6
_SEED = 20_261_124
_ROWS = 200

Rows = list[list[Any]]


@dataclass(frozen=True)
class Parity:
    """The largest difference over `rows` rows (relative above 1 for values), differing labels, and the verdict."""

    rows: int
    largest_difference: float
    labels_differ: int
    ties: int
    proven: bool

    @property
    def sentence(self) -> str:
        """Say it for the report."""
        verdict = "agrees with" if self.proven else "differs from"
        return (
            f"compiled model {verdict} the native model: largest difference {self.largest_difference:.2g} and "
            f"{self.labels_differ} different labels over {self.rows} rows"
        )


def proof_rows(inputs: tuple[InputColumn, ...], samples: Rows, estimator: Any) -> Rows:
    """Return rows for the proof: the samples, perturbed and mixed ones, rows rounded to float32, and rows at splits."""
    random = np.random.default_rng(_SEED)
    base = samples or [[0.0 if column.type != "string" else "" for column in inputs]]
    columns = list(zip(*base, strict=True))
    mixed = [[columns[place][random.integers(len(base))] for place in range(len(inputs))] for _ in range(_ROWS)]
    noisy = [_noisy(inputs, row, columns, random) for row in mixed]
    at_splits = _at_splits(inputs, mixed, estimator, random)
    rounded = [_rounded(inputs, row) for row in (*base, *noisy[: _ROWS // 2])]
    with_nulls = [_with_nulls(inputs, row, random) for row in mixed[: _ROWS // 4]]
    return [*base, *mixed, *noisy, *rounded, *at_splits, *with_nulls]


def compare(native: NativeModel, compiled: Compiled, inputs: tuple[InputColumn, ...], rows: Rows, form: Any) -> Parity:
    """Run both models on the rows. Raises NotCompilable for answers of another shape, and what either library raises."""
    data = table(inputs, rows, form)
    expected = native.outputs(data)
    session = session_of(compiled.model)
    found = run_compiled(session, compiled, inputs, rows, native.labels)
    values = found["value" if native.task == "regression" else "probabilities"]
    if values.shape != expected.shape:
        raise NotCompilable(f"the graph answers in the shape {values.shape}, the model in {expected.shape}")
    if native.task == "regression":
        difference = np.abs(values - expected) / np.maximum(1.0, np.abs(expected))
        largest = float(np.max(difference)) if np.isfinite(difference).all() else float("inf")
        return Parity(len(rows), largest, 0, 0, largest <= VALUE_TOLERANCE)
    largest = float(np.abs(values - expected).max())
    largest = largest if np.isfinite(largest) else float("inf")
    top = np.sort(expected, axis=1)
    ties = (top[:, -1] - top[:, -2]) < TIE
    differ = np.array([ours != theirs for ours, theirs in zip(found["label"], native.classes(data), strict=True)])
    wrong = int((differ & ~ties).sum())
    return Parity(len(rows), largest, wrong, int(ties.sum()), largest <= PROBABILITY_TOLERANCE and wrong == 0)


def _is_real(column: InputColumn) -> bool:
    return column.type in ("double", "float")


def _noisy(
    inputs: tuple[InputColumn, ...], row: list[Any], columns: list[Any], random: np.random.Generator
) -> list[Any]:
    return [
        float(value + random.normal() * _spread(columns[place])) if _is_real(column) and value is not None else value
        for place, (column, value) in enumerate(zip(inputs, row, strict=True))
    ]


def _spread(values: Any) -> float:
    known = [value for value in values if value is not None]
    return float(np.std(known)) * 0.5 or 1.0 if known else 1.0


def _rounded(inputs: tuple[InputColumn, ...], row: list[Any]) -> list[Any]:
    return [
        float(np.float32(value)) if _is_real(column) and value is not None else value
        for column, value in zip(inputs, row, strict=True)
    ]


def _with_nulls(inputs: tuple[InputColumn, ...], row: list[Any], random: np.random.Generator) -> list[Any]:
    return [
        None if not column.required and random.random() < 0.3 else value  # noqa: PLR2004
        for column, value in zip(inputs, row, strict=True)
    ]


def _at_splits(inputs: tuple[InputColumn, ...], rows: Rows, estimator: Any, random: np.random.Generator) -> Rows:
    """Rows that lie exactly on, just below and just above split thresholds, where precision decides the branch."""
    from model_server.build.tree_readers import read_trees

    try:
        ensemble = read_trees(estimator)
    except NotCompilable:
        return []
    if ensemble is None:
        return []
    splits = [place for place, mode in enumerate(ensemble.modes) if mode != "LEAF"]
    found: Rows = []
    for place in random.permutation(splits)[:_ROWS]:
        feature, threshold = ensemble.features[place], ensemble.thresholds[place]
        if not _is_real(inputs[feature]) or not np.isfinite(threshold):
            continue
        for value in (
            threshold,
            np.nextafter(threshold, -np.inf),
            np.nextafter(threshold, np.inf),
            np.float32(threshold),
        ):
            row = list(rows[int(random.integers(len(rows)))])
            row[feature] = float(value)
            found.append(row)
    return found
