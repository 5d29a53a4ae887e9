"""Turn checked rows into the table a model was trained on."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import Form, InputColumn
from model_server.contract.decoder import Row
from model_server.contract.problems import BadInput, Problem, pointer
from model_server.contract.values import NESTED

Rows = list[Row] | list[list[Any]]
_NUMPY_TYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}


def table(inputs: tuple[InputColumn, ...], rows: Rows, form: Form) -> Any:
    """Return checked rows in the form the model takes, with the types and the missing values of its training frame.

    The type of a column follows from the input alone: a row is answered alike whichever rows stand beside it. Raises
    BadInput for rows that are no one tensor.
    """
    if form == "array":
        return array(inputs, rows)
    if form in ("tensor", "tensors"):
        held = {column.name: _tensor(column, [row[place] for row in rows]) for place, column in enumerate(inputs)}
        return held[inputs[0].name] if form == "tensor" else held
    import pandas as pd

    index = pd.RangeIndex(len(rows))
    if form == "frame" and all(column.type == "double" and column.categories is None for column in inputs):
        # the same frame in a tenth of the time
        names = pd.Index([column.name for column in inputs], dtype=object)
        return pd.DataFrame(array(inputs, rows), columns=names, index=index)
    columns = {column.name: _series(column, [row[place] for row in rows], index) for place, column in enumerate(inputs)}
    return columns[inputs[0].name] if form == "values" else pd.DataFrame(columns, index=index)


def array(inputs: tuple[InputColumn, ...], rows: Rows) -> npt.NDArray[Any]:
    """Return numeric rows in the type a frame of them has: float32 or whole numbers when every input is, else float64.

    Null becomes NaN.
    """
    kinds = {_NUMPY_TYPES[column.type] if column.type == "float" or column.required else "float64" for column in inputs}
    whole = "int64" if kinds <= {"int32", "int64"} else "float64"
    dtype = kinds.pop() if len(kinds) == 1 else whole
    return np.array(rows, dtype=dtype).reshape(len(rows), len(inputs))


def _tensor(column: InputColumn, values: list[Any]) -> npt.NDArray[Any]:
    kind = column.spec["dtype"] if column.spec else column.type
    if column.spec and -1 in column.spec["shape"]:
        _check_alike(column, values)
    return np.array(values, dtype=_NUMPY_TYPES.get(kind, object))


def _check_alike(column: InputColumn, values: list[Any]) -> None:
    """Raise BadInput unless axes of an open length have one and the same in all rows, as in one tensor."""
    shapes = [_shape(value) for value in values]
    for row, shape in enumerate(shapes):
        if shape is None or shape != shapes[0]:
            found = (
                "is ragged" if shape is None else f"has the shape {list(shape)}, the first row {list(shapes[0] or ())}"
            )
            detail = f"{found}: the rows of one request are one tensor; send rows of another length apart"
            raise BadInput([Problem(pointer(row, column.name), detail, row, column.name)])


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists, None when they are ragged."""
    if not isinstance(value, list):
        return ()
    inner = {_shape(part) for part in value}
    if len(inner) > 1 or None in inner:
        return None
    return (len(value), *(inner.pop() or () if inner else ()))


def _series(column: InputColumn, values: list[Any], index: Any) -> Any:
    import pandas as pd

    if column.categories is not None:
        return pd.Series(_categorical(column.categories, values), index=index, name=column.name)
    if column.type == "datetime":
        # the unit pandas gives to dates it reads itself
        return pd.Series(np.array(values, dtype="datetime64[ns]"), index=index, name=column.name)
    if column.type == "binary":
        values = [None if value is None else base64.b64decode(value) for value in values]
        return pd.Series(values, index=index, dtype=object, name=column.name)
    if column.type in NESTED:
        return pd.Series(values, index=index, dtype=object, name=column.name)
    if column.type == "string" or (column.type == "boolean" and not column.required and column.missing != "float"):
        null = {"none": None, "na": pd.NA}.get(column.missing, np.nan)
        held = [null if value is None else value for value in values]
        # said, for pandas would make a type of its own of text, and NaN of None
        return pd.Series(held, index=index, dtype=object, name=column.name)
    whole = column.type in ("long", "integer", "boolean")
    dtype = "float64" if whole and not column.required else _NUMPY_TYPES[column.type]
    return pd.Series(np.array(values, dtype=dtype), index=index, name=column.name)


def _categorical(categories: tuple[Any, ...], values: list[Any]) -> Any:
    """A value that is none of the categories becomes a further one: what the model makes of it is the model's affair."""
    import pandas as pd

    known = set(categories)
    further = sorted({value for value in values if value is not None and value not in known}, key=str)
    # plain objects first: pandas would otherwise call its text type by another name than in training
    listed = pd.Index([*categories, *further], dtype=object if isinstance(categories[0], str) else None)
    return pd.Categorical(values, categories=listed)
