"""Compile a native model to ONNX, where its kind allows."""

from dataclasses import replace
from typing import Any, Literal

from model_server.build.missing_text import StandIn, with_stand_in
from model_server.build.onnx_trees import graph_of_trees, register_converters
from model_server.build.tree_ensemble import NotCompilable, first_line
from model_server.build.tree_readers import read_trees
from model_server.bundle import InputColumn, Task
from model_server.engines.compiled import Compiled
from model_server.engines.native import NativeModel
from model_server.engines.texts import OPTIONAL_STRING

_ONNX_TYPES = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int64",
    "string": "string",
    "boolean": "bool",
}
# Opsets that onnxruntime 1.17 and later run; ml 3 brings double precision trees.
_OPSETS = {"": 17, "ai.onnx.ml": 3}


def compile_model(
    native: NativeModel,
    inputs: tuple[InputColumn, ...],
    mode: Literal["tensor", "columns"],
    dtype: str,
    refused: frozenset[str] = frozenset(),
) -> Compiled:
    """Return the model as ONNX with inputs of the given float type. Raises NotCompilable with the reason.

    `refused`: text inputs that may be missing by the signature and that the model does not answer without.
    """
    if native.task == "raw":
        raise NotCompilable("its predictions are neither probabilities nor one number")
    if native.flavor == "onnx":
        raise NotCompilable("it is an ONNX model already and is served as it was logged")
    names: dict[str, str | None] = dict.fromkeys(("probabilities", "label", "value"))
    ensemble = read_trees(native.estimator) if mode == "tensor" and dtype == "float64" else None
    if ensemble is not None:
        model = graph_of_trees(native.estimator, ensemble, len(inputs))
        outputs = ["value"] if native.task == "regression" else ["label", "probabilities"]
        return Compiled(model, mode, dtype, {}, {**names, **{name: name for name in outputs}})
    if unknown := [column for column in inputs if column.type not in _ONNX_TYPES]:
        raise NotCompilable(f"'{unknown[0].name}' is of the type {unknown[0].type}, which a graph does not take")
    columns = {} if mode == "tensor" else {column.name: _column_type(column, dtype, refused) for column in inputs}
    stand_in = with_stand_in(native.estimator) if OPTIONAL_STRING in columns.values() else StandIn(native.estimator)
    converted = _convert(stand_in.estimator, native.task, _input_types(inputs, columns, dtype))
    stand_in.settle(converted)
    _without_system_locale(converted)
    found = [output.name for output in converted.graph.output]
    wanted = ["value"] if native.task == "regression" else ["label", "probabilities"]
    if len(found) != len(wanted):
        raise NotCompilable(f"the converted graph has {len(found)} outputs")
    return Compiled(
        converted.SerializeToString(),
        mode,
        dtype,
        columns,
        {**names, **dict(zip(wanted, found, strict=True))},
        _renamed(columns, [entry.name for entry in converted.graph.input]),
    )


def _renamed(columns: dict[str, str], inputs: list[str]) -> dict[str, str]:
    """Return the graph's own names of inputs that the converter renamed: it keeps their order, not a blank or a dot."""
    if list(columns) == inputs or len(columns) != len(inputs):
        return {}
    return {column: name for column, name in zip(columns, inputs, strict=True) if column != name}


def _without_system_locale(model: Any) -> None:
    """Let texts be lowered by the locale every C library has: onnxruntime asks for en_US.UTF-8, which images lack."""
    from onnx import helper

    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            others = [attribute for attribute in node.attribute if attribute.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*others, helper.make_attribute("locale", "C.UTF-8")])


def forms_of(compiled: Compiled) -> list[Compiled]:
    """Return the forms to try, fastest first: without the label's nodes, for most classifiers name the likeliest class.

    Not all do: a support vector machine's label and its probabilities come from different fits.
    """
    if compiled.outputs["probabilities"] is None:
        return [compiled]
    import onnx
    from onnx.utils import Extractor

    model = onnx.load_from_string(compiled.model)
    names = [entry.name for entry in model.graph.input]
    lean = Extractor(model).extract_model(names, [compiled.outputs["probabilities"]])
    outputs = {**compiled.outputs, "label": None}
    return [replace(compiled, model=lean.SerializeToString(), outputs=outputs), compiled]


def _column_type(column: InputColumn, dtype: str, refused: frozenset[str]) -> str:
    kind = _ONNX_TYPES[column.type]
    if kind == "string":
        return kind if column.required or column.name in refused else OPTIONAL_STRING
    return dtype if kind.startswith("float") or not column.required else kind


def _input_types(inputs: tuple[InputColumn, ...], columns: dict[str, str], dtype: str) -> list[tuple[str, Any]]:
    from skl2onnx.common import data_types

    kinds = {
        "float64": data_types.DoubleTensorType,
        "float32": data_types.FloatTensorType,
        "int64": data_types.Int64TensorType,
        "string": data_types.StringTensorType,
        OPTIONAL_STRING: data_types.StringTensorType,
        "bool": data_types.BooleanTensorType,
    }
    if columns:
        return [(name, kinds[kind]([None, 1])) for name, kind in columns.items()]
    return [("X", kinds[dtype]([None, len(inputs)]))]


def _convert(estimator: Any, task: Task, types: list[tuple[str, Any]]) -> Any:
    from skl2onnx import convert_sklearn

    register_converters()
    options = {id(estimator): {"zipmap": False}} if task != "regression" else None
    try:
        return convert_sklearn(estimator, initial_types=types, options=options, target_opset=_OPSETS)
    except NotCompilable:
        raise
    except Exception as error:
        # Converters raise anything for what they do not know; whatever it is, the model is served natively instead.
        raise NotCompilable(f"{type(error).__name__}: {first_line(error)[:200]}") from error
