"""Write a TreeEnsemble as ONNX nodes, and teach skl2onnx to use them inside pipelines.

skl2onnx's own converters round thresholds to single precision (rows at a split boundary then take the other branch,
up to 0.5 of probability away) and fail on HistGradientBoosting with current onnx releases; these keep double precision.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from model_server.build.tree_ensemble import NotCompilable, TreeEnsemble
from model_server.build.tree_readers import DECISION_TREES, FORESTS, read_trees

# (operator, inputs, outputs, domain, version, attributes): how a node is added, to a graph or to skl2onnx's container.
AddNode = Callable[[str, list[str], list[str], str, int, dict[str, Any]], None]
AddTensor = Callable[[str, "np.ndarray[Any, Any]"], None]

ML_DOMAIN, ML_VERSION = "ai.onnx.ml", 3


class GraphWriter:
    """Adds nodes under names with one prefix, so that a graph may hold several ensembles."""

    def __init__(self, prefix: str, add_node: AddNode, add_tensor: AddTensor) -> None:
        self._prefix, self._add_node, self._add_tensor = prefix, add_node, add_tensor
        self._count = 0

    def name(self) -> str:
        """Return a fresh name."""
        self._count += 1
        return f"{self._prefix}_{self._count}"

    def constant(self, values: Any) -> str:
        """Store an array; return its name."""
        name = self.name()
        self._add_tensor(name, np.asarray(values))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        output = output or self.name()
        version = ML_VERSION if domain else 13
        self._add_node(operator, list(inputs), [output], domain, version, attributes)
        return output


def write_scores(ensemble: TreeEnsemble, rows: str, graph: GraphWriter) -> str:
    """Add the nodes that turn rows [n, features] into linked scores [n, targets] in double; return their name."""
    if ensemble.rounds_input:
        rows = graph.node("Cast", rows, to=TensorProto.FLOAT)
    rows = graph.node("Cast", rows, to=TensorProto.DOUBLE)
    raw = graph.node("TreeEnsembleRegressor", rows, domain=ML_DOMAIN, **_attributes(ensemble, graph))
    scores = graph.node("Cast", raw, to=TensorProto.DOUBLE)
    if ensemble.divisor != 1.0:
        scores = graph.node("Div", scores, graph.constant(np.array(ensemble.divisor)))
    if any(ensemble.base):
        scores = graph.node("Add", scores, graph.constant(np.array([ensemble.base])))
    operators = {"logistic": "Sigmoid", "exponential": "Exp"}
    if ensemble.link == "softmax":
        return graph.node("Softmax", scores, axis=1)
    return graph.node(operators[ensemble.link], scores) if ensemble.link in operators else scores


def write_probabilities(ensemble: TreeEnsemble, rows: str, graph: GraphWriter) -> str:
    """Add the nodes that give class probabilities [n, classes] in double; return their name."""
    scores = write_scores(ensemble, rows, graph)
    if ensemble.link == "logistic" and ensemble.targets == 1:
        rest = graph.node("Sub", graph.constant(np.array(1.0)), scores)
        return graph.node("Concat", rest, scores, axis=1)
    if ensemble.link not in ("softmax", "mean_probabilities"):
        raise NotCompilable(f"classes from a {ensemble.link} score")
    return scores


def write_label(classes: Any, probabilities: str, graph: GraphWriter, output: str | None = None) -> str:
    """Add the nodes that pick the most probable class [n], the first one on a tie; return their name."""
    best = graph.node("ArgMax", probabilities, axis=1, keepdims=0)
    return graph.node("Gather", graph.constant(label_values(classes)), best, output=output, axis=0)


def label_values(classes: Any) -> "np.ndarray[Any, Any]":
    """Return class labels as ONNX can hold them: whole numbers or text. Raises NotCompilable for others."""
    values = np.asarray(classes)
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        return values.astype(np.int64)
    if values.dtype.kind in "UO" and all(isinstance(value, str) for value in values.tolist()):
        return values.astype(object)
    raise NotCompilable("class labels that are neither whole numbers nor text")


def _attributes(ensemble: TreeEnsemble, graph: GraphWriter) -> dict[str, Any]:
    def doubles(values: list[float]) -> Any:
        return numpy_helper.from_array(np.array(values, dtype=np.float64), name=graph.name())

    return {
        "n_targets": ensemble.targets,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": ensemble.tree_ids,
        "nodes_nodeids": ensemble.node_ids,
        "nodes_featureids": ensemble.features,
        "nodes_modes": ensemble.modes,
        "nodes_values_as_tensor": doubles(ensemble.thresholds),
        "nodes_truenodeids": ensemble.true_ids,
        "nodes_falsenodeids": ensemble.false_ids,
        "nodes_missing_value_tracks_true": ensemble.missing_true,
        "target_treeids": ensemble.leaf_trees,
        "target_nodeids": ensemble.leaf_nodes,
        "target_ids": ensemble.leaf_targets,
        "target_weights_as_tensor": doubles(ensemble.leaf_values),
    }


def graph_of_trees(estimator: Any, ensemble: TreeEnsemble, features: int) -> bytes:
    """Return a whole model for a bare tree ensemble: input X in double, outputs label and probabilities, or value."""
    nodes: list[Any] = []
    tensors: list[Any] = []

    def add_node(
        operator: str, inputs: list[str], outputs: list[str], domain: str, _version: int, attributes: dict[str, Any]
    ) -> None:
        nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))

    graph = GraphWriter("n", add_node, lambda name, values: tensors.append(numpy_helper.from_array(values, name)))
    if hasattr(estimator, "classes_"):
        probabilities = write_probabilities(ensemble, "X", graph)
        graph.node("Identity", probabilities, output="probabilities")
        write_label(estimator.classes_, probabilities, graph, "label")
        kind = TensorProto.STRING if label_values(estimator.classes_).dtype.kind == "O" else TensorProto.INT64
        outputs = [
            helper.make_tensor_value_info("label", kind, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, len(estimator.classes_)]),
        ]
    else:
        graph.node("Identity", write_scores(ensemble, "X", graph), output="value")
        outputs = [helper.make_tensor_value_info("value", TensorProto.DOUBLE, [None, ensemble.targets])]
    inputs = [helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, features])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML_DOMAIN, ML_VERSION)]
    model = helper.make_model(
        helper.make_graph(nodes, "trees", inputs, outputs, initializer=tensors), opset_imports=opsets, ir_version=8
    )
    return bytes(model.SerializeToString())


def register_converters() -> None:
    """Make skl2onnx convert trees, alone or inside pipelines, with the writers above."""
    import sklearn.ensemble
    import sklearn.tree
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    boosting = [
        f"{kind}Boosting{task}" for kind in ("HistGradient", "Gradient") for task in ("Classifier", "Regressor")
    ]
    kinds = [getattr(sklearn.ensemble, name) for name in (*boosting, *FORESTS)]
    kinds += [getattr(sklearn.tree, name) for name in DECISION_TREES]
    kinds += _boosters()
    for kind in kinds:
        classifies = kind.__name__.endswith("Classifier")
        shapes = calculate_linear_classifier_output_shapes if classifies else calculate_linear_regressor_output_shapes
        update_registered_converter(
            kind,
            f"Exact{kind.__module__.split('.')[0]}{kind.__name__}",
            shapes,
            _convert,
            options={"zipmap": [False, True], "nocl": [False, True], "output_class_labels": [False, True]}
            if classifies
            else None,
        )


def _boosters() -> list[Any]:
    """Return the estimators of the libraries that are here: a model's own environment has what the model named."""
    found: list[Any] = []
    with contextlib.suppress(ModuleNotFoundError):
        import xgboost

        found += [xgboost.XGBClassifier, xgboost.XGBRegressor]
    with contextlib.suppress(ModuleNotFoundError):
        import lightgbm

        found += [lightgbm.LGBMClassifier, lightgbm.LGBMRegressor]
    return found


def _convert(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    ensemble = read_trees(estimator)
    if ensemble is None:
        raise NotCompilable(type(estimator).__name__)

    def add_node(
        kind: str, inputs: list[str], outputs: list[str], domain: str, version: int, attributes: dict[str, Any]
    ) -> None:
        name = scope.get_unique_operator_name(kind)
        container.add_node(kind, inputs, outputs, op_domain=domain, op_version=version, name=name, **attributes)

    def add_tensor(name: str, values: "np.ndarray[Any, Any]") -> None:
        container.initializers.append(numpy_helper.from_array(values, name))

    graph = GraphWriter(scope.get_unique_variable_name("trees"), add_node, add_tensor)
    rows, final = operator.inputs[0].full_name, operator.outputs[-1]
    double = "Double" in type(final.type).__name__
    kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
    if len(operator.outputs) == 1:
        graph.node("Cast", write_scores(ensemble, rows, graph), output=final.full_name, to=kind)
        return
    probabilities = write_probabilities(ensemble, rows, graph)
    graph.node("Cast", probabilities, output=final.full_name, to=kind)
    write_label(estimator.classes_, probabilities, graph, operator.outputs[0].full_name)
