"""A compiled model and how to run it. Imports nothing that only the build needs: every served replica pays for it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from model_server.bundle import InputColumn, OnnxGraph
from model_server.contract.decoder import Row
from model_server.engines.answers import numbers
from model_server.engines.texts import OPTIONAL_STRING, as_texts

Rows = list[Row] | list[list[Any]]


@dataclass(frozen=True)
class Compiled:
    """An ONNX model and how to call it, see bundle.OnnxGraph; `outputs` maps probabilities, label, value to names.

    `feeds` has the graph's name of every input that is called otherwise than its column.
    """

    model: bytes
    mode: Literal["tensor", "columns"]
    dtype: str
    columns: dict[str, str]
    outputs: dict[str, str | None]
    feeds: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: OnnxGraph) -> "Compiled":
        """Return how to call a bundle's graph; its bytes stay in their file."""
        outputs = {"probabilities": graph.probabilities, "label": graph.label, "value": graph.value}
        return cls(b"", graph.mode, graph.dtype, graph.columns, outputs, graph.feeds)


def run_compiled(
    session: Any, compiled: Compiled, inputs: tuple[InputColumn, ...], rows: Rows, labels: tuple[Any, ...]
) -> dict[str, npt.NDArray[Any]]:
    """Run the graph on checked rows; return its outputs by kind. Values come as [rows], or [rows, targets] for several.

    A graph without a label output names the likeliest class, the first of equals.
    """
    kinds = {kind: name for kind, name in compiled.outputs.items() if name}
    answers = session.run(list(kinds.values()), feed(compiled, inputs, rows))
    found = dict(zip(kinds, answers, strict=True))
    if "value" in found:
        found["value"] = numbers(found["value"])
    elif "label" not in found:
        found["label"] = np.array(labels, dtype=object)[found["probabilities"].argmax(axis=1)]
    return found


def feed(compiled: Compiled, inputs: tuple[InputColumn, ...], rows: Rows) -> dict[str, npt.NDArray[Any]]:
    """Return the graph's inputs for checked rows: X, or one [rows, 1] array per column. Raises ValueError for missing text."""
    if compiled.mode == "tensor":
        return {"X": np.array(rows, dtype=compiled.dtype).reshape(len(rows), len(inputs))}
    return {
        compiled.feeds.get(column.name, column.name): _column(
            [row[place] for row in rows], compiled.columns[column.name]
        )
        for place, column in enumerate(inputs)
    }


def _column(values: list[Any], kind: str) -> npt.NDArray[Any]:
    if kind in ("string", OPTIONAL_STRING):
        return np.array(as_texts(values, kind), dtype=object).reshape(-1, 1)
    return np.array(values, dtype=kind).reshape(-1, 1)
