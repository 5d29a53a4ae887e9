"""Prove that the compiled model answers like the native one, on rows chosen to find differences."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.build.tree_ensemble import NotCompilable
from model_server.bundle import InputColumn, Task
from model_server.engines.compiled import Compiled, run_compiled
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


def proof_rows(inputs: tuple[InputColumn, ...], samples: Rows) -> Rows:
    """Return rows for the proof: the samples, perturbed and mixed ones, rows rounded to float32, and rows with nulls.

    The same for the same inputs and samples, so that whoever judges the answers makes the rows anew.
    """
    random = np.random.default_rng(_SEED)
    base = samples or [[0.0 if column.type != "string" else "" for column in inputs]]
    columns = list(zip(*base, strict=True))
    mixed = [[columns[place][random.integers(len(base))] for place in range(len(inputs))] for _ in range(_ROWS)]
    noisy = [_noisy(inputs, row, columns, random) for row in mixed]
    rounded = [_rounded(inputs, row) for row in (*base, *noisy[: _ROWS // 2])]
    with_nulls = [_with_nulls(inputs, row, random) for row in mixed[: _ROWS // 4]]
    return [*base, *mixed, *noisy, *rounded, *with_nulls]


@dataclass(frozen=True)
class NativeAnswers:
    """What the model itself answered to rows: probabilities or values, and classes where it has labels."""

    outputs: Any
    classes: list[Any]

    @classmethod
    def of(cls, native: NativeModel, data: Any) -> "NativeAnswers":
        """Ask the model. Raises what its library raises."""
        classes = native.classes(data).tolist() if native.labels else []
        return cls(np.asarray(native.outputs(data), dtype=np.float64), classes)


def compare(
    expected: NativeAnswers,
    compiled: Compiled,
    inputs: tuple[InputColumn, ...],
    rows: Rows,
    task: Task,
    labels: tuple[Any, ...],
) -> Parity:
    """Run the graph on the rows the model answered. Raises NotCompilable for answers of another shape, and what
    onnxruntime raises.
    """
    found = run_compiled(session_of(compiled.model), compiled, inputs, rows, labels)
    values = found["value" if task == "regression" else "probabilities"]
    outputs = expected.outputs
    if values.shape != outputs.shape:
        raise NotCompilable(f"the graph answers in the shape {values.shape}, the model in {outputs.shape}")
    if task == "regression":
        difference = np.abs(values - outputs) / np.maximum(1.0, np.abs(outputs))
        largest = float(np.max(difference)) if np.isfinite(difference).all() else float("inf")
        return Parity(len(rows), largest, 0, 0, largest <= VALUE_TOLERANCE)
    largest = float(np.abs(values - outputs).max())
    largest = largest if np.isfinite(largest) else float("inf")
    top = np.sort(outputs, axis=1)
    ties = (top[:, -1] - top[:, -2]) < TIE
    differ = np.array([ours != theirs for ours, theirs in zip(found["label"], expected.classes, strict=True)])
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


def rows_at_splits(inputs: tuple[InputColumn, ...], rows: Rows, estimator: Any) -> Rows:
    """Rows that lie exactly on, just below and just above split thresholds, where precision decides the branch."""
    from model_server.build.tree_readers import read_trees

    random = np.random.default_rng(_SEED)
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
