"""A model that was logged as ONNX already: served as it is, by onnxruntime, in the model's own process.

Inputs are one tensor [rows, columns], or one tensor [rows, 1] for each column. A graph that answers with a label and
probabilities is a classifier, one that answers with one number is a regressor; others answer with their outputs, by name.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import InputColumn
from model_server.engines.answers import WrongAnswers
from model_server.engines.named import rows_of
from model_server.refusals import Refused

Matrix = npt.NDArray[np.float64]
_TYPES: dict[str, tuple[Any, str]] = {
    "tensor(double)": (np.float64, "double"),
    "tensor(float)": (np.float32, "float"),
    "tensor(int64)": (np.int64, "long"),
    "tensor(int32)": (np.int32, "integer"),
    "tensor(bool)": (np.bool_, "boolean"),
    "tensor(string)": (object, "string"),
}
_LABELS = ("tensor(int64)", "tensor(int32)", "tensor(string)")
_NUMBERS = ("tensor(float)", "tensor(double)")
_TABLE = 2


def session_of(model: Path | bytes) -> Any:
    """Open an inference session with one thread: rows are small, and a process is one replica."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxEstimator:
    """An ONNX graph with the interface of an estimator."""

    def __init__(self, path: Path) -> None:
        self._session = session_of(path)
        self._inputs = self._session.get_inputs()
        self._outputs = self._session.get_outputs()
        for entry in self._inputs:
            if entry.type not in _TYPES or len(entry.shape) > _TABLE:
                raise Refused(
                    "unsupported_input_type",
                    f"The graph's input '{entry.name}' is a {entry.type} of shape {entry.shape}: served are tables, one tensor "
                    "[rows, columns] or one [rows, 1] for each column. Put what makes the tensor of a row's values into the graph.",
                )
        self._one_tensor = len(self._inputs) == 1 and len(self._inputs[0].shape) == _TABLE
        self.known_inputs = self._columns()
        self.n_features_in_ = len(self.known_inputs)
        if not self._one_tensor:
            self.feature_names_in_ = [entry.name for entry in self._inputs]
        self._maps = self._classifies() and self._outputs[1].type.startswith("seq(map(")
        self.answers_numbers = len(self._outputs) == 1 and self._is_one_number(self._outputs[0])
        if self._classifies():
            self._find_classes()

    def _columns(self) -> tuple[InputColumn, ...]:
        if not self._one_tensor:
            return tuple(InputColumn(entry.name, _TYPES[entry.type][1]) for entry in self._inputs)
        [entry] = self._inputs
        if not isinstance(entry.shape[-1], int):
            raise Refused(
                "unsupported_input_type",
                f"The graph's input '{entry.name}' has no fixed number of columns; export it with one: [None, columns].",
            )
        names = [entry.name] if entry.shape[-1] == 1 else [f"x{place}" for place in range(entry.shape[-1])]
        return tuple(InputColumn(name, _TYPES[entry.type][1]) for name in names)

    def _classifies(self) -> bool:
        """A label for each row, and a probability for each class: as a table, or as converters' sequence of maps."""
        if len(self._outputs) != _TABLE:
            return False
        label, chances = self._outputs
        if (
            label.type not in _LABELS
            or len(label.shape) > _TABLE
            or (len(label.shape) == _TABLE and label.shape[1] != 1)
        ):
            return False
        if chances.type.startswith("seq(map("):
            return True
        return chances.type in _NUMBERS and len(chances.shape) == _TABLE and chances.shape[1] != 1

    @staticmethod
    def _is_one_number(output: Any) -> bool:
        return output.type in _NUMBERS and (len(output.shape) == 1 or output.shape[1:] == [1])

    def _find_classes(self) -> None:
        """Ask one row: maps name the classes, a table counts them; build/graph_labels.py reads what those are called."""
        label, chances = self._run(self._blank())
        if self._maps:
            self.classes_ = np.asarray(sorted(chances[0]))
        elif np.ndim(chances) == _TABLE:
            self.classes_ = np.arange(np.shape(chances)[1])
        self.first_label = np.ravel(label)[0]

    def predict_proba(self, rows: Any) -> Matrix:
        """Return probabilities [rows, classes]."""
        _, chances = self._run(self._feed(rows))
        if self._maps:
            names = sorted(chances[0])
            return np.asarray([[row[name] for name in names] for row in chances], dtype=np.float64)
        return np.asarray(chances, dtype=np.float64)

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """Return a classifier's labels; else the only output, or all of them by name."""
        found = self._run(self._feed(rows))
        if self._classifies():
            return np.asarray(found[0]).reshape(len(rows))
        if len(found) == 1:
            values = np.asarray(found[0])
            return values[:, 0] if values.ndim == _TABLE and values.shape[1] == 1 else values
        return rows_of(
            {output.name: _plain(output.name, values) for output, values in zip(self._outputs, found, strict=True)}
        )

    def _run(self, feed: dict[str, Any]) -> Sequence[Any]:
        found: Sequence[Any] = self._session.run(None, feed)
        return found

    def _feed(self, rows: Any) -> dict[str, Any]:
        if self._one_tensor:
            [entry] = self._inputs
            return {entry.name: _tensor(rows, entry).reshape(len(rows), -1)}
        columns = np.asarray(rows, dtype=object)
        return {
            entry.name: _tensor(columns[:, place].tolist(), entry).reshape(
                (-1, 1) if len(entry.shape) == _TABLE else (-1,)
            )
            for place, entry in enumerate(self._inputs)
        }

    def _blank(self) -> dict[str, Any]:
        values = {"string": "", "boolean": False}
        row = [values.get(column.type, 0) for column in self.known_inputs]
        return self._feed(np.array([row], dtype=object))


def _tensor(values: Any, entry: Any) -> npt.NDArray[Any]:
    """Return values in the type of a graph's input. Raises ValueError for a missing one, where the type has no word for it."""
    kind = _TYPES[entry.type][0]
    found = np.asarray(values)
    if kind not in (np.float32, np.float64) and any(
        value is None or value != value  # noqa: PLR0124 - NaN differs from itself
        for value in (found.ravel() if found.dtype.kind in "fO" else ())
    ):
        raise ValueError(f"'{entry.name}' has no value, and a graph's {entry.type} holds one")
    return found.astype(kind)


def _plain(name: str, values: Any) -> npt.NDArray[Any]:
    if not isinstance(values, np.ndarray):
        raise WrongAnswers(
            f"The graph's output '{name}' is no tensor; export it without sequences and maps (zipmap=False)."
        )
    return values[:, 0] if values.ndim == _TABLE and values.shape[1] == 1 else values
