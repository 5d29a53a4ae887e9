"""What the classes of a classifier that was logged as ONNX are called: the graph says it, in attributes of its own nodes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from model_server.engines.native import NativeModel


def with_labels(native: NativeModel, path: Path) -> NativeModel:
    """Return the classifier with its labels; a graph that names other classes than it answers is no classifier but `raw`.

    Parses the graph, which only builds do: a model server has the labels from the bundle.
    """
    if not native.labels:
        return native
    estimator: Any = native.estimator
    counted = len(native.labels)
    candidates = [list(native.labels), *(found for found in _named(path) if len(found) == counted)]
    said = estimator.first_label.item() if hasattr(estimator.first_label, "item") else estimator.first_label
    # names are more than numbers: what nodes say comes before what counting gives
    fitting = [found for found in (*candidates[1:], candidates[0]) if said in found]
    if not fitting:
        return native.doing("raw", ())
    estimator.classes_ = np.asarray(fitting[0])
    return replace(native, labels=tuple(fitting[0]))


def _named(path: Path) -> list[list[Any]]:
    """Lists of class labels in a graph: attributes of classifiers, and constants that are gathered from by the likeliest class."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path, load_external_data=False).graph
    found: list[list[Any]] = []
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
                found.append(list(attribute.ints))
            elif attribute.name == "classlabels_strings" and attribute.strings:
                found.append([text.decode("utf-8") for text in attribute.strings])
        if node.op_type in ("ArrayFeatureExtractor", "Gather") and node.input and node.input[0] in constants:
            values = numpy_helper.to_array(constants[node.input[0]]).ravel().tolist()
            found.append([value.decode("utf-8") if isinstance(value, bytes) else value for value in values])
    return found
