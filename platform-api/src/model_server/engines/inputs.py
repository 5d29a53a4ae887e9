"""Turn rows of JSON values into the table a model was trained on, and say what does not fit."""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from model_server.bundle import InputColumn

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


def table(inputs: tuple[InputColumn, ...], rows: list[list[Any]], form: Literal["array", "frame"]) -> Any:
    """Return checked rows as a numpy array [rows, columns] or as a pandas DataFrame with the inputs' types."""
    if form == "array":
        return array(inputs, rows)
    import pandas as pd

    data = {column.name: _series(column, [row[place] for row in rows]) for place, column in enumerate(inputs)}
    return pd.DataFrame(data, columns=[column.name for column in inputs])


def array(inputs: tuple[InputColumn, ...], rows: list[list[Any]]) -> npt.NDArray[Any]:
    """Return numeric rows as float64, or as float32 when every input is declared `float`; null becomes NaN."""
    dtype = np.float32 if inputs and all(column.type == "float" for column in inputs) else np.float64
    return np.array(rows, dtype=dtype).reshape(len(rows), len(inputs))


def _series(column: InputColumn, values: list[Any]) -> npt.NDArray[Any]:
    if column.type == "string":
        return np.array(values, dtype=object)
    if any(value is None for value in values):
        return np.array(values, dtype=np.float64)
    return np.array(values, dtype=_NUMPY_TYPES[column.type])
