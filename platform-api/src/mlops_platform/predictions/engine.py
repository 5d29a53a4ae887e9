"""The compiled model in this process: an ONNX graph whose bytes are the ones that were proven, and nothing else."""

import hashlib
import json
import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime

from mlops_platform.predictions.answers import AnswerForm, AnswersDiffer, answer_form
from model_server.bundle import Extra, InputColumn, Parameter, input_column, joined_rows, parameter
from model_server.contract.decoder import Decoder, Row
from model_server.contract.known_row import known_rows
from model_server.contract.problems import ModelRefuses
from model_server.contract.refusing import refusal
from model_server.doors.outputs import Form
from model_server.engines.answers import NotFinite
from model_server.engines.texts import OPTIONAL_STRING, as_texts
from model_server.refusals import Refused
from model_server.trust.files import Files

_DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "int64": np.int64,
    "string": object,
    OPTIONAL_STRING: object,
    "bool": np.bool_,
}


# a forest of a few hundred trees
_UNKNOWN_ROW_SECONDS = 20e-6


class BundleNotTrusted(RuntimeError):
    """The bundle is damaged, or not the one that was proven."""


@dataclass(frozen=True)
class Description:
    """What bundle.json says about a model."""

    flavor: str
    task: str
    engine: str
    columns: tuple[InputColumn, ...]
    labels: tuple[Any, ...]
    digest: str
    onnx: dict[str, Any] | None
    answer: AnswerForm
    extra_inputs: Extra
    params: tuple[Parameter, ...]
    joined_rows: int

    @cached_property
    def form(self) -> Form:
        """What the model answers, for those who write it as tensors."""
        scores = None if self.answer.scores is None else self.answer.scores.shape
        return Form.of(self.answer.shape, self.answer.datatype, self.answer.fields, self.labels, scores)


def describe(files: Files) -> Description:
    """Read a bundle's description. Raises BundleNotTrusted."""
    try:
        content = json.loads(_read(files, "bundle.json"))
        columns = tuple(map(input_column, content["inputs"]))
        return Description(
            content["flavor"],
            content["task"],
            content["engine"],
            columns,
            tuple(content["labels"]),
            content["digest"],
            content["onnx"],
            answer_form(content),
            content.get("extra_inputs", "refuse"),
            tuple(map(parameter, content.get("params", ()))),
            joined_rows(content.get("joined_rows", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleNotTrusted("the bundle's description cannot be read") from error


def _read(files: Files, name: str) -> bytes:
    try:
        content = files.read(name)
    except Refused as refusal:
        raise BundleNotTrusted(refusal.sentence) from refusal
    if content is None:
        raise BundleNotTrusted(f"the bundle has no {name}")
    return content


class OnnxModel:
    """One graph, ready to run. Answers follow the platform's meaning of a prediction:

    binary: the probability of the positive class; multiclass: the vector of class probabilities; regression: the value,
    or the list of values where the model has several targets.
    """

    def __init__(self, files: Files, description: Description) -> None:
        """Load the bytes that were read and hashed. Raises BundleNotTrusted when they are not those that were proven."""
        graph = description.onnx
        if graph is None:
            raise BundleNotTrusted("nothing was compiled")
        content = _read(files, graph["file"])
        if hashlib.sha256(content).hexdigest() != graph["sha256"]:
            raise BundleNotTrusted(f"{graph['file']} is not the graph that was proven")
        options = onnxruntime.SessionOptions()
        # one request is microseconds of work: threads would cost more than they give
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # the public wrapper checks names on every call, which costs a fifth of a small graph; ours are fixed
        self._run = self._session._sess.run  # noqa: SLF001
        self._task = description.task
        # the shape of a graph's first output, but for its rows: what is another one is no answer
        self._width = (len(description.labels),) if description.labels else description.answer.shape or (1,)
        self._labels = description.labels
        self._tensor = graph["mode"] == "tensor"
        self._input = graph["input"]
        self._dtype = _DTYPES[graph["dtype"]]
        self._columns = (
            [
                (
                    graph.get("feeds", {}).get(column.name, column.name),
                    _DTYPES[graph["columns"][column.name]],
                    # what may be missing needs a look at every value, which others are spared
                    graph["columns"][column.name] if column.type == "string" and not column.required else None,
                )
                for column in description.columns
            ]
            if not self._tensor
            else []
        )
        self._outputs = [graph["value"] if description.task == "regression" else graph["probabilities"]]
        # only for models whose label is not always their likeliest class; ONNX holds labels as whole numbers or text
        self._names_label = graph["label"] is not None
        if self._names_label:
            self._outputs.append(graph["label"])
        # the common case: one row, one number or two probabilities of it
        short = description.task == "binary" or self._width == (1,)
        self._one_row = (1, *self._width) if short and not self._names_label else None
        self._by_value = {label: label for label in self._labels}
        self._inputs = description.columns
        self._known_rows = known_rows(files, description.columns)
        self.decoder = Decoder(description.columns, description.extra_inputs)
        # the least a row of a batch has cost so far, in which the fixed cost of a call hardly shows
        self._row_seconds: float | None = None
        self._one_seconds = self._time_one()

    def expected_seconds(self, rows: int) -> float:
        """Return how long so many rows will take at least, as far as it is known."""
        if rows == 1:
            return self._one_seconds
        return rows * (_UNKNOWN_ROW_SECONDS if self._row_seconds is None else self._row_seconds)

    def _time_one(self) -> float:
        """Return the seconds one row takes; 0 when the only row we have is refused, and nothing can be said."""
        fastest = 0.0
        # the runtime prepares itself at the first
        for _ in range(2):
            began = time.perf_counter()
            try:
                self._predicted(self._known_rows[:1])
            except Exception:  # noqa: BLE001 - the runtime raises many kinds, and requests will be told
                return 0.0
            fastest = time.perf_counter() - began
        return fastest

    def predict(self, rows: list[Row]) -> tuple[list[Any], list[Any] | None]:
        """Return one prediction per row and, for classifiers, the label of each. Raises AnswersDiffer, NotFinite, and what the runtime raises."""
        if len(rows) == 1:
            return self._predicted(rows)
        began = time.perf_counter()
        found = self._predicted(rows)
        seconds = (time.perf_counter() - began) / len(rows)
        self._row_seconds = seconds if self._row_seconds is None else min(self._row_seconds, seconds)
        return found

    def _predicted(self, rows: list[Row]) -> tuple[list[Any], list[Any] | None]:
        if self._tensor:
            outputs = self._run(self._outputs, {self._input: np.array(rows, self._dtype)}, None)
        else:
            columns = zip(self._columns, zip(*rows, strict=True), strict=True)
            feed = {
                name: np.array(values if text is None else as_texts(values, text), kind).reshape(-1, 1)
                for (name, kind, text), values in columns
            }
            outputs = self._run(self._outputs, feed, None)
        output = outputs[0]
        if output.shape == self._one_row and len(rows) == 1:
            return self._one(output)
        if output.shape != (len(rows), *self._width) and (output.shape, self._width) != ((len(rows),), (1,)):
            raise AnswersDiffer(f"the graph answers {output.shape} for {len(rows)} rows")
        # JSON has no NaN: it would arrive as null and be taken for an answer
        if not np.isfinite(output).all():
            raise NotFinite("its answer is no finite number")
        return self._answers(output, len(rows)), self._named(outputs, len(rows))

    def refusal(self, rows: list[Row]) -> ModelRefuses | None:
        """Return what the model refuses of rows it did not answer, None when it has failed and they are not to blame."""
        return refusal(self.predict, rows, self._inputs, self._known_rows)

    def _one(self, output: Any) -> tuple[list[Any], list[Any] | None]:
        """Answer one row without array arithmetic, which would cost as much as a small graph."""
        [values] = output.tolist()
        if not math.isfinite(values[-1]):
            raise NotFinite("its answer is no finite number")
        if self._task == "regression":
            return values, None
        # argmax of two, the first wins a tie
        negative, positive = values
        return [positive], [self._labels[positive > negative]]

    def _answers(self, output: Any, rows: int) -> list[Any]:
        # one target is one number a row, however the graph shapes it
        values = output[:, 1] if self._task == "binary" else output.reshape(rows) if self._width == (1,) else output
        answers: list[Any] = values.tolist()
        return answers

    def _named(self, outputs: list[Any], rows: int) -> list[Any] | None:
        if self._task == "regression":
            return None
        if not self._names_label:
            return [self._labels[index] for index in outputs[0].argmax(axis=1).tolist()]
        if outputs[1].shape != (rows,):
            raise AnswersDiffer(f"the graph gives labels {outputs[1].shape} for {rows} rows")
        return [self._by_value.get(label, label) for label in outputs[1].tolist()]
