"""Turn rows of JSON values into the table a model was trained on, and say what does not fit."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import Form, InputColumn

_NUMPY_TYPES = {"double": "float64", "float": "float32", "long": "int64", "integer": "int32", "boolean": "bool"}
NUMERIC = frozenset({"double", "float", "long", "integer"})


class BadInput(ValueError):
    """The rows do not fit the model's inputs; the message says which column or row and why."""


def reorder(inputs: tuple[InputColumn, ...], columns: list[str], rows: list[list[Any]]) -> list[list[Any]]:
    """Return the rows in the model's column order with every value checked.

    Raises BadInput for missing, extra or repeated columns, short rows, nulls in required columns and wrong types.
    """
    wanted = [column.name for column in inputs]
    if columns != wanted:
        if missing := sorted(set(wanted) - set(columns)):
            raise BadInput(f"missing inputs: {', '.join(missing[:10])}")
        if extra := sorted(set(columns) - set(wanted)):
            raise BadInput(f"unknown inputs: {', '.join(extra[:10])}")
        if len(columns) != len(wanted):
            raise BadInput("an input is named twice")
    if any(len(row) != len(columns) for row in rows):
        raise BadInput(f"every row needs {len(columns)} values")
    places = [columns.index(name) for name in wanted]
    return [[_checked(column, row[place]) for column, place in zip(inputs, places, strict=True)] for row in rows]


def _checked(column: InputColumn, value: Any) -> Any:
    if value is None:
        if column.required:
            raise BadInput(f"'{column.name}' may not be null")
        return None
    if column.type == "string":
        fits = isinstance(value, str)
    elif column.type == "boolean":
        fits = isinstance(value, bool)
    elif column.type in ("long", "integer"):
        fits = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    else:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits:
        raise BadInput(f"'{column.name}' must be of type {column.type}")
    return value


def table(inputs: tuple[InputColumn, ...], rows: list[list[Any]], form: Form) -> Any:
    """Return checked rows in the form the model takes, with the types and the missing values of its training frame.

    The type of a column follows from the input alone: a row is answered alike whichever rows stand beside it.
    """
    if form == "array":
        return array(inputs, rows)
    import pandas as pd

    index = pd.RangeIndex(len(rows))
    columns = {column.name: _series(column, [row[place] for row in rows], index) for place, column in enumerate(inputs)}
    return columns[inputs[0].name] if form == "values" else pd.DataFrame(columns, index=index)


def array(inputs: tuple[InputColumn, ...], rows: list[list[Any]]) -> npt.NDArray[Any]:
    """Return numeric rows as float64, or as float32 when every input is declared `float`; null becomes NaN."""
    dtype = np.float32 if inputs and all(column.type == "float" for column in inputs) else np.float64
    return np.array(rows, dtype=dtype).reshape(len(rows), len(inputs))


def _series(column: InputColumn, values: list[Any], index: Any) -> Any:
    import pandas as pd

    if column.type == "string" or (column.type == "boolean" and not column.required and column.missing != "float"):
        null = {"none": None, "na": pd.NA}.get(column.missing, np.nan)
        held = [null if value is None else value for value in values]
        # said, for pandas would make a type of its own of text, and NaN of None
        return pd.Series(held, index=index, dtype=object, name=column.name)
    whole = column.type in ("long", "integer", "boolean")
    dtype = "float64" if whole and not column.required else _NUMPY_TYPES[column.type]
    return pd.Series(np.array(values, dtype=dtype), index=index, name=column.name)
