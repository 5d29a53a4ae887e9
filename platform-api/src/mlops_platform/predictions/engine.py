"""The compiled model in this process: an ONNX graph whose bytes are the ones that were proven, and nothing else."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mlops_platform.kit.digests import file_sha256
from mlops_platform.predictions.inputs import Column, InputDecoder, Row

_DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "int64": np.int64,
    "string": object,
    "bool": np.bool_,
}


class BundleNotTrusted(RuntimeError):
    """The bundle is damaged, or not the one that was proven."""


@dataclass(frozen=True)
class Description:
    """What bundle.json says about a model."""

    flavor: str
    task: str
    engine: str
    columns: tuple[Column, ...]
    labels: tuple[Any, ...]
    digest: str
    onnx: dict[str, Any] | None


def describe(bundle: Path) -> Description:
    """Read a bundle's description. Raises BundleNotTrusted."""
    try:
        content = json.loads((bundle / "bundle.json").read_text())
        columns = tuple(
            Column(column["name"], column["type"], column.get("required", True)) for column in content["inputs"]
        )
        return Description(
            content["flavor"],
            content["task"],
            content["engine"],
            columns,
            tuple(content["labels"]),
            content["digest"],
            content["onnx"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleNotTrusted(f"{bundle}: the description cannot be read") from error


class OnnxModel:
    """One graph, ready to run. Answers follow the platform's meaning of a prediction:

    binary: the probability of the positive class; multiclass: the vector of class probabilities; regression: the value.
    """

    def __init__(self, bundle: Path, description: Description) -> None:
        """Load and verify. Raises BundleNotTrusted when the bytes are not those whose parity was proven."""
        graph = description.onnx
        if graph is None:
            raise BundleNotTrusted(f"{bundle}: nothing was compiled")
        path = bundle / graph["file"]
        if not path.is_file() or file_sha256(path) != graph["sha256"]:
            raise BundleNotTrusted(f"{path}: not the bytes that were proven")
        options = onnxruntime.SessionOptions()
        # one request is microseconds of work: threads would cost more than they give
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # the public wrapper checks names on every call, which costs a fifth of a small graph; ours are fixed
        self._run = self._session._sess.run  # noqa: SLF001
        self._task = description.task
        self._labels = description.labels
        self._tensor = graph["mode"] == "tensor"
        self._input = graph["input"]
        self._dtype = _DTYPES[graph["dtype"]]
        self._columns = (
            [(column.name, _DTYPES[graph["columns"][column.name]]) for column in description.columns]
            if not self._tensor
            else []
        )
        self._outputs = [graph["value"] if description.task == "regression" else graph["probabilities"]]
        # only for models whose label is not always their likeliest class; ONNX holds labels as whole numbers or text
        self._names_label = graph["label"] is not None
        if self._names_label:
            self._outputs.append(graph["label"])
        self._by_value = {label: label for label in self._labels}
        self.decoder = InputDecoder(description.columns)

    def predict(self, rows: list[Row]) -> tuple[list[Any], list[Any] | None]:
        """Return predictions and, for classifiers, the label of each row."""
        if self._tensor:
            outputs = self._run(self._outputs, {self._input: np.array(rows, self._dtype)}, None)
        else:
            columns = zip(self._columns, zip(*rows, strict=True), strict=True)
            feed = {name: np.array(values, kind).reshape(-1, 1) for (name, kind), values in columns}
            outputs = self._run(self._outputs, feed, None)
        output = outputs[0]
        if self._task == "regression":
            return output.reshape(-1).tolist(), None
        if self._names_label:
            values = output[:, 1] if self._task == "binary" else output
            return values.tolist(), [self._by_value.get(label, label) for label in outputs[1].tolist()]
        if self._task == "binary":
            if len(rows) == 1:
                # the common case, without array arithmetic: argmax of two, the first wins a tie
                negative, positive = output[0].tolist()
                return [positive], [self._labels[positive > negative]]
            return output[:, 1].tolist(), [self._labels[index] for index in output.argmax(axis=1).tolist()]
        return output.tolist(), [self._labels[index] for index in output.argmax(axis=1).tolist()]
