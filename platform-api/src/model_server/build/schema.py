"""Find out which inputs a model takes: from its MLflow signature, else from the model itself."""

from collections import Counter
from dataclasses import replace
from typing import Any

from model_server.build.categories import categories_of, text_places, type_of
from model_server.build.example import Table, typed_by
from model_server.bundle import InputColumn
from model_server.contract.values import NESTED, TYPES
from model_server.refusals import Refused

_TENSOR_TYPES = {
    "float64": "double",
    "float32": "float",
    "float16": "float",
    "int64": "long",
    "uint64": "long",
    "uint32": "long",
    "int32": "integer",
    "uint16": "integer",
    "int16": "integer",
    "uint8": "integer",
    "int8": "integer",
    "bool": "boolean",
    "object": "string",
    "str": "string",
    "bytes": "binary",
}


def infer_inputs(
    signature: list[dict[str, Any]] | None, estimator: Any, example: Table | None = None
) -> tuple[tuple[InputColumn, ...], str]:
    """Return the inputs in the model's order and where they come from (`signature` or `model`).

    `example` are logged rows: they tell the types of inputs that no signature tells.

    Raises Refused `no_schema`, `unsupported_input_type`, `unsupported_input_name`, `signature_mismatch`, `repeated_input`.
    """
    names = _model_names(estimator)
    known: tuple[InputColumn, ...] | None = getattr(estimator, "known_inputs", None)
    if signature and names and _says_nothing(signature):
        signature = None
    if signature and known and all(entry.get("type") == "tensor" for entry in signature):
        # what the tensors are called and hold is in the model itself
        return known, "signature"
    if signature:
        inputs = _from_signature(signature, names)
        _refuse_repeated(inputs)
        return _with_categories(_in_model_order(inputs, estimator, names), estimator), "signature"
    if known:
        return known, "model"
    if names is None:
        raise Refused("no_schema", "The inputs of the model are unknown; log it with a signature or an input_example.")
    text = set(text_places(estimator))
    plain = tuple(InputColumn(name, "string" if place in text else "double") for place, name in enumerate(names))
    return _with_categories(typed_by(example, names) or plain, estimator, given=False), "model"


def _says_nothing(signature: list[dict[str, Any]]) -> bool:
    """Whether it is one nameless input of any kind: what MLflow writes for a frame of which one column has no type it knows."""
    return len(signature) == 1 and signature[0].get("type") == "any" and "name" not in signature[0]


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
        if entry.get("type") == "tensor":
            columns += _of_tensor(entry, names, alone=len(signature) == 1)
            continue
        name = _named(entry.get("name", names[place] if names and place < len(names) else f"x{place}"))
        kind = _known(str(entry.get("type")), name)
        spec = {key: value for key, value in entry.items() if key not in ("name", "required")}
        required = bool(entry.get("required", True)) and kind != "any"
        columns.append(InputColumn(name, kind, required, spec=spec if kind in NESTED else None))
    return tuple(columns)


def _named(name: Any) -> str:
    if not isinstance(name, str | int):
        raise Refused(
            "unsupported_input_name",
            f"The input {name!r} is named by several values; give every column one text as its name (frame.columns = ...).",
        )
    return str(name)


def _of_tensor(entry: dict[str, Any], names: list[str] | None, *, alone: bool) -> list[InputColumn]:
    """A tensor of one value a row is an input; the only one, a table [rows, columns], is as many; others keep their shape."""
    spec = entry["tensor-spec"]
    kind = _known(_tensor_type(str(spec["dtype"])), str(entry.get("name", "")))
    required, inner = bool(entry.get("required", True)), [int(size) for size in spec["shape"][1:]]
    if len(inner) == 1 and alone and "name" not in entry:
        width = len(names) if inner[0] < 0 and names else inner[0]
        if width > 0:
            known = names if names and len(names) == width else [f"x{index}" for index in range(width)]
            return [InputColumn(name, kind, required) for name in known]
    name = str(entry.get("name", names[0] if names and len(names) == 1 else "x0"))
    if not inner:
        return [InputColumn(name, kind, required)]
    return [InputColumn(name, "tensor", required, spec={"type": "tensor", "dtype": kind, "shape": inner})]


def _tensor_type(dtype: str) -> str:
    # numpy writes the length of texts and the unit of times into the name
    if dtype.startswith(("<U", "U", "str")):
        return "string"
    return "datetime" if dtype.startswith("datetime64") else _TENSOR_TYPES.get(dtype, dtype)


def _with_categories(inputs: tuple[InputColumn, ...], estimator: Any, *, given: bool = True) -> tuple[InputColumn, ...]:
    """Give the booster's categories to their inputs; `given`: the types are the signature's, and must fit."""
    found = list(inputs)
    texts = [place for place, column in enumerate(inputs) if column.type == "string"]
    for place, categories in categories_of(estimator, texts).items():
        if place >= len(found) or not categories:
            continue
        column, kind = found[place], type_of(categories)
        if kind is None or (given and (kind == "string") != (column.type == "string")):
            raise Refused(
                "signature_mismatch",
                f"The model was trained on categories of '{column.name}' such as {categories[0]!r}, which the signature "
                f"({column.type}) does not have; log it with the frame it was trained on as input_example.",
            )
        found[place] = replace(column, type=column.type if given else kind, categories=categories)
    return tuple(found)


def _refuse_repeated(inputs: tuple[InputColumn, ...]) -> None:
    repeated = [name for name, times in Counter(column.name for column in inputs).items() if times > 1]
    if repeated:
        raise Refused("repeated_input", f"Two inputs are named '{repeated[0]}'; give every column a name of its own.")


def _known(kind: str, name: str) -> str:
    if kind not in TYPES:
        raise Refused(
            "unsupported_input_type", f"The input '{name}' has the type {kind}; served are {', '.join(sorted(TYPES))}."
        )
    return kind


def _in_model_order(
    inputs: tuple[InputColumn, ...], estimator: Any, names: list[str] | None
) -> tuple[InputColumn, ...]:
    if names is None or any(column.type in NESTED for column in inputs):
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
