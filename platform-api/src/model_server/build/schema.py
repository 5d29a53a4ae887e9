"""Find out which inputs a model takes: from its MLflow signature, else from the model itself."""

from collections import Counter
from typing import Any

from model_server.bundle import InputColumn
from model_server.contract.values import NUMERIC
from model_server.refusals import Refused

_TYPES = frozenset({*NUMERIC, "boolean", "string"})
_TENSOR_TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "long",
    "int32": "integer",
    "bool": "boolean",
    "object": "string",
    "str": "string",
}


def infer_inputs(signature: list[dict[str, Any]] | None, estimator: Any) -> tuple[tuple[InputColumn, ...], str]:
    """Return the inputs in the model's order and where they come from (`signature` or `model`).

    Raises Refused `no_schema`, `unsupported_input_type`, `signature_mismatch`, `repeated_input`.
    """
    names = _model_names(estimator)
    if signature:
        inputs = _from_signature(signature, names)
        _refuse_repeated(inputs)
        return _in_model_order(inputs, estimator, names), "signature"
    if names is None:
        raise Refused("no_schema", "The inputs of the model are unknown; log it with a signature or an input_example.")
    # Unknown from the model alone whether it takes missing values, so they are refused.
    return tuple(InputColumn(name, "double") for name in names), "model"


def _model_names(estimator: Any) -> list[str] | None:
    """The names the model was trained with; without any, x0, x1, … as scikit-learn names them."""
    found = getattr(estimator, "feature_names_in_", None)
    if found is None:
        try:
            count = getattr(estimator, "n_features_in_", None)
        except AttributeError:
            count = None
        return [f"x{place}" for place in range(int(count))] if count else None
    return [str(name) for name in found]


def _from_signature(signature: list[dict[str, Any]], names: list[str] | None) -> tuple[InputColumn, ...]:
    columns: list[InputColumn] = []
    for place, entry in enumerate(signature):
        required = bool(entry.get("required", True))
        if entry.get("type") != "tensor":
            name = str(entry.get("name", names[place] if names and place < len(names) else f"x{place}"))
            columns.append(InputColumn(name, _known(str(entry.get("type")), _TYPES, name), required))
            continue
        spec = entry["tensor-spec"]
        kind = _known(_TENSOR_TYPES.get(str(spec["dtype"]), str(spec["dtype"])), _TYPES, str(entry.get("name", "")))
        if "name" in entry:
            columns.append(InputColumn(str(entry["name"]), kind, required))
            continue
        # one dimension is one value a row: a list of texts, for example
        width = {1: 1, 2: spec["shape"][-1]}.get(len(spec["shape"]), -1)
        if width < 1:
            raise Refused("unsupported_input_type", "Only tables [rows, columns] of a fixed width are served.")
        known = names if names and len(names) == width else [f"x{index}" for index in range(width)]
        columns += [InputColumn(name, kind, required) for name in known]
    return tuple(columns)


def _refuse_repeated(inputs: tuple[InputColumn, ...]) -> None:
    repeated = [name for name, times in Counter(column.name for column in inputs).items() if times > 1]
    if repeated:
        raise Refused("repeated_input", f"Two inputs are named '{repeated[0]}'; give every column a name of its own.")


def _known(kind: str, kinds: frozenset[str], name: str) -> str:
    if kind not in kinds:
        raise Refused(
            "unsupported_input_type", f"The input '{name}' has the type {kind}; served are {', '.join(sorted(kinds))}."
        )
    return kind


def _in_model_order(
    inputs: tuple[InputColumn, ...], estimator: Any, names: list[str] | None
) -> tuple[InputColumn, ...]:
    if names is None:
        return inputs
    if len(inputs) != len(names):
        raise Refused(
            "signature_mismatch", f"The signature names {len(inputs)} inputs, the model was trained on {len(names)}."
        )
    if getattr(estimator, "feature_names_in_", None) is None:
        return inputs
    by_name = {column.name: column for column in inputs}
    if set(by_name) != set(names):
        # LightGBM renames columns with blanks; order is then all there is to go by.
        return inputs
    return tuple(by_name[name] for name in names)
