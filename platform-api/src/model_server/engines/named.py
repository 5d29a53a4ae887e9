"""Answers of several named values a row: {name: value} for each row, each value with its own shape and datatype."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import AnswerField, Datatype
from model_server.engines.answers import WrongAnswers, as_json, one_per_row, without_gaps

_DATATYPES: dict[str, Datatype] = {"f": "FP64", "i": "INT64", "u": "INT64", "b": "BOOL"}


def datatype_of(values: npt.NDArray[Any]) -> Datatype:
    """Return the datatype that holds every value of an array of this type."""
    return "UINT64" if values.dtype == np.uint64 else _DATATYPES.get(values.dtype.kind, "BYTES")


def rows_of(columns: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return one object {name: value} a row, as an array of objects. Raises WrongAnswers for columns of different lengths, and
    for a value that is missing or no finite number.
    """
    held = {name: np.asarray(values) for name, values in columns.items()}
    counts = {len(values) if values.ndim else 0 for values in held.values()}
    if len(counts) != 1:
        raise WrongAnswers("The model answers with columns of different lengths.")
    [rows] = counts
    lists = [without_gaps(as_json(one_per_row(values, rows, None))).tolist() for values in held.values()]
    found = np.empty(rows, dtype=object)
    for place, values in enumerate(zip(*lists, strict=True)):
        found[place] = dict(zip(held, values, strict=True))
    return found


def is_named(found: npt.NDArray[Any]) -> bool:
    """Whether each answer is an object with names."""
    return found.dtype.kind == "O" and found.ndim == 1 and len(found) > 0 and isinstance(found[0], dict)


def fields_of(found: npt.NDArray[Any]) -> tuple[AnswerField, ...] | None:
    """Return the names of the answers with their shapes and datatypes; None when they have no names. Raises WrongAnswers."""
    if not is_named(found):
        return None
    names = list(found[0])
    if any(list(row) != names for row in found):
        raise WrongAnswers("The model answers rows with different names.")
    fields = []
    for name in names:
        values = np.asarray([row[name] for row in found])
        fields.append(AnswerField(str(name), tuple(int(size) for size in values.shape[1:]), datatype_of(values)))
    return tuple(fields)
