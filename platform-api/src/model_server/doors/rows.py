"""From the tensors of a request to the rows of one model."""

import math
from collections.abc import Sequence

import numpy as np

from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder, Row
from model_server.contract.problems import BadInput, Problem, pointer
from model_server.contract.values import LARGEST, bounds
from model_server.doors.tensors import Tensor, folded

_MATRIX = 2


def rows_of(tensors: Sequence[Tensor], decoder: Decoder) -> list[Row]:
    """Return rows from either form: one tensor [rows, columns] of any name, or one tensor [rows] per input.

    Raises BadInput, each problem with its pointer into the body, its row and its column; and NotJson.
    """
    if not tensors:
        raise BadInput([Problem("/inputs", "send 'inputs' (values), or the parameter 'entity_ids'")])
    if (lonely := _only(tensors, decoder.columns)) is not None:
        return _matrix(lonely, decoder) if len(lonely.shape) == _MATRIX else _table([lonely], decoder)
    return _table(tensors, decoder)


def _only(tensors: Sequence[Tensor], columns: Sequence[InputColumn]) -> Tensor | None:
    """Return the one tensor that holds whole rows, under whatever name; None where tensors are named like inputs."""
    if len(tensors) != 1:
        return None
    [tensor] = tensors
    named = any(tensor.name == column.name for column in columns)
    if len(columns) == 1:
        return None if named else tensor._replace(name=columns[0].name)
    if named:
        return None
    if len(tensor.shape) != _MATRIX or tensor.shape[1] != len(columns):
        names = ", ".join(column.name for column in columns[:20])
        raise tensor.problem(f"must have the shape [rows, {len(columns)}]: {names}")
    return tensor


def _matrix(tensor: Tensor, decoder: Decoder) -> list[Row]:
    columns = decoder.columns
    if len(columns) == 1:
        return _table([tensor], decoder)
    if (rows := _numbers(tensor, columns)) is not None:
        decoder.count(rows)
        return rows
    names = [column.name for column in columns]
    if tensor.binary is None and (read := decoder.matrix(tensor.data, tensor.shape)) is not None:
        return read
    values = tensor.values()
    try:
        return decoder.lists(names, folded(values, tensor.shape))
    except BadInput as error:
        raise error.moved(lambda problem: _in_matrix(problem, tensor, names)) from error


def _numbers(tensor: Tensor, columns: Sequence[InputColumn]) -> list[Row] | None:
    """Return rows of binary numbers that are all of the model's one type; None when each has to be looked at."""
    kinds = {column.type for column in columns}
    if len(kinds) != 1 or (array := tensor.array()) is None:
        return None
    [kind] = kinds
    if kind in LARGEST:
        fits = array.dtype.kind in "iuf" and bool(np.isfinite(array).all())
        if fits and kind == "float" and array.dtype.itemsize == 8:  # noqa: PLR2004 - of 64 bits
            fits = bool((np.abs(array) <= LARGEST["float"]).all())
        array = array if array.dtype == np.float64 else array.astype(np.float64)
    elif kind in {"long", "integer"}:
        least, most = bounds(kind)
        fits = array.dtype.kind in "iu" and (array.size == 0 or least <= int(array.min()) <= int(array.max()) <= most)
    else:
        fits = kind == "boolean" and array.dtype.kind == "b"
    return list(map(tuple, array.tolist())) if fits else None


def _table(tensors: Sequence[Tensor], decoder: Decoder) -> list[Row]:
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) != len(tensors):
        twice = next(tensor for tensor in tensors if by_name[tensor.name] is not tensor)
        raise twice.problem("is named by two tensors")
    known = {column.name: column for column in decoder.columns}
    table = {
        name: tensor.column(known[name])
        if name in known
        else [None] * (tensor.shape[0] if math.prod(tensor.shape) else 0)
        for name, tensor in by_name.items()
    }
    try:
        return decoder.table(table)
    except BadInput as error:
        raise error.moved(lambda problem: _in_table(problem, by_name)) from error


def _in_table(problem: Problem, tensors: dict[str, Tensor]) -> str:
    """Return the pointer of a problem with a column of values."""
    tensor = tensors.get(problem.column or "")
    if tensor is None:
        return "/inputs"
    row = problem.row if problem.row is not None else 0
    is_value = problem.pointer.count("/") > pointer(tensor.name).count("/")
    return pointer("inputs", tensor.place, "data", row) if is_value else pointer("inputs", tensor.place)


def _in_matrix(problem: Problem, tensor: Tensor, names: list[str]) -> str:
    if problem.column not in names:
        return pointer("inputs", tensor.place)
    return pointer("inputs", tensor.place, "data", (problem.row or 0) * len(names) + names.index(problem.column))
