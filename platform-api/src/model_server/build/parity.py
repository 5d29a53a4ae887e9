"""Prove that the compiled model answers like the native one, on rows chosen to find differences."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.build.odd_rows import odd_rows
from model_server.build.tree_ensemble import NotCompilable
from model_server.bundle import Form, InputColumn, Task
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
    """The largest difference over `rows` rows (relative above 1 for values), differing labels, and the verdict.

    `refused` rows both refuse; `one_refuses` only one of them does, which is a difference like any other.
    """

    rows: int
    largest_difference: float
    labels_differ: int
    ties: int
    proven: bool
    refused: int = 0
    one_refuses: int = 0

    @property
    def sentence(self) -> str:
        """Say it for the report."""
        verdict = "agrees with" if self.proven else "differs from"
        refusals = f", {self.refused} refused by both" if self.refused else ""
        if self.one_refuses:
            refusals += f", {self.one_refuses} refused by one and answered by the other"
        return (
            f"compiled model {verdict} the native model: largest difference {self.largest_difference:.2g} and "
            f"{self.labels_differ} different labels over {self.rows} rows{refusals}"
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
    return [*base, *mixed, *noisy, *rounded, *with_nulls, *odd_rows(inputs, base)]


@dataclass(frozen=True)
class NativeAnswers:
    """What the model itself answered to rows: probabilities or values, and classes where it has labels.

    A row it refuses, or has no finite answer to, is NaN, and its class None.
    """

    outputs: Any
    classes: list[Any]

    @classmethod
    def of(cls, native: NativeModel, inputs: tuple[InputColumn, ...], rows: Rows, form: Form) -> "NativeAnswers":
        """Ask the model. Raises what its library raises when it answers no row at all."""

        def ask(part: Rows) -> tuple[Any, list[Any]]:
            data = table(inputs, part, form)
            classes = native.classes(data).tolist() if native.labels else [None] * len(part)
            return np.asarray(native.outputs(data), dtype=np.float64), classes

        return cls(*answers_of(ask, rows))


def answers_of(ask: Callable[[Rows], tuple[Any, list[Any]]], rows: Rows) -> tuple[Any, list[Any]]:
    """Return answers and labels of all rows: those of a row that is refused, or has no finite answer, NaN and None.

    Raises what `ask` raises when every row is refused.
    """
    parts: list[tuple[int, int, Any, list[Any]]] = []
    last: Exception | None = None
    waiting = [(0, len(rows))]
    while waiting:
        start, end = waiting.pop()
        try:
            parts.append((start, end, *ask(rows[start:end])))
        except (MemoryError, NotCompilable):
            raise
        except Exception as error:  # noqa: BLE001 - libraries raise anything for rows they do not take
            last = error
            if end - start > 1:
                middle = (start + end) // 2
                waiting += [(middle, end), (start, middle)]
    if not parts and last is not None:
        raise last
    outputs = np.full((len(rows), *parts[0][2].shape[1:]), np.nan)
    classes: list[Any] = [None] * len(rows)
    for start, end, found, labels in parts:
        outputs[start:end], classes[start:end] = found, labels
    gaps = _gaps(np.where(np.isfinite(outputs), outputs, np.nan))
    outputs[gaps] = np.nan
    return outputs, [None if gap else label for label, gap in zip(classes, gaps.tolist(), strict=True)]


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
    session = session_of(compiled.model)

    def ask(part: Rows) -> tuple[Any, list[Any]]:
        found = run_compiled(session, compiled, inputs, part, labels)
        named = found.get("label")
        answers = np.asarray(found["value" if task == "regression" else "probabilities"], dtype=np.float64)
        if len(answers) != len(part):
            raise NotCompilable(f"the graph answers {len(part)} rows in the shape {answers.shape}")
        return answers, [None] * len(part) if named is None else list(named)

    every, named = answers_of(ask, rows)
    if every.shape != expected.outputs.shape:
        raise NotCompilable(f"the graph answers in the shape {every.shape}, the model in {expected.outputs.shape}")
    refuses, refused = _gaps(every), _gaps(expected.outputs)
    both: npt.NDArray[np.bool_] = np.logical_not(np.logical_or(refuses, refused))
    parity = _difference(
        every[both],
        expected.outputs[both],
        [label for label, answered in zip(named, both.tolist(), strict=True) if answered],
        [label for label, answered in zip(expected.classes or named, both.tolist(), strict=True) if answered],
        task,
        labels,
    )
    one = int((refuses != refused).sum())
    return replace(
        parity,
        rows=len(rows),
        refused=int((refuses & refused).sum()),
        one_refuses=one,
        proven=parity.proven and not one,
    )


def _gaps(answers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isnan(answers).reshape(len(answers), -1).any(axis=1))


def _difference(
    values: Any, outputs: Any, named: list[Any], classes: list[Any], task: Task, labels: tuple[Any, ...]
) -> Parity:
    """Compare answers to rows that both answer.

    A tie excuses a label only where the model itself goes by its probabilities: another one, of which several may be one
    third, has its reasons.
    """
    rows = len(outputs)
    if not rows:
        return Parity(0, float("inf"), 0, 0, proven=False)
    if task == "regression":
        difference = np.abs(values - outputs) / np.maximum(1.0, np.abs(outputs))
        largest = float(np.max(difference))
        return Parity(rows, largest, 0, 0, largest <= VALUE_TOLERANCE)
    largest = float(np.abs(values - outputs).max())
    top = np.sort(outputs, axis=1)
    likeliest = [labels[place] for place in outputs.argmax(axis=1)]
    ties = ((top[:, -1] - top[:, -2]) < TIE) & (likeliest == classes)
    differ = np.array([ours != theirs for ours, theirs in zip(named, classes, strict=True)])
    wrong = int((differ & ~ties).sum())
    return Parity(rows, largest, wrong, int(ties.sum()), largest <= PROBABILITY_TOLERANCE and wrong == 0)


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
