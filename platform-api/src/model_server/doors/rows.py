"""From the tensors of a request to the rows of one model."""

import math
from collections.abc import Sequence

import numpy as np

from model_server.contract.decoder import Decoder, Row
from model_server.contract.problems import BadInput, Problem, pointer
from model_server.contract.values import BITS, LARGEST, bounds
from model_server.doors.tensors import Tensor, folded

_MATRIX = 2


def rows_of(tensors: Sequence[Tensor], decoder: Decoder) -> list[Row]:
    """Return rows from either form: one tensor [rows, columns] of any name, or one tensor [rows] per input.

    Raises BadInput, each problem with its pointer into the body, its row and its column; and NotJson.
    """
    if not tensors:
        raise BadInput([Problem("/inputs", "send 'inputs' (values), or the parameter 'entity_ids'")])
    if len(tensors) != 1 or tensors[0].name in decoder.names:
        return _table(tensors, decoder)
    [tensor] = tensors
    width = len(decoder.names)
    if width == 1:
        return _table([tensor._replace(name=decoder.names[0])], decoder)
    if len(tensor.shape) != _MATRIX or tensor.shape[1] != width:
        raise tensor.problem(f"must have the shape [rows, {width}]: {', '.join(decoder.names[:20])}")
    return _matrix(tensor, decoder)


def _matrix(tensor: Tensor, decoder: Decoder) -> list[Row]:
    """Return the rows of one tensor [rows, columns] under whatever name."""
    if tensor.binary is None:
        rows = decoder.matrix(tensor.data, tensor.shape)
    elif (rows := _numbers(tensor, decoder.one_type)) is not None:
        decoder.count(rows)
    if rows is not None:
        return rows
    values = tensor.values()
    try:
        return decoder.lists(decoder.names, folded(values, tensor.shape))
    except BadInput as error:
        raise error.moved(lambda problem: _in_matrix(problem, tensor, decoder.names)) from error


def _numbers(tensor: Tensor, kind: str | None) -> list[Row] | None:
    """Return rows of binary numbers that are all of the model's one type; None when each has to be looked at."""
    if kind is None:
        return None
    if kind == "double" and (values := tensor.doubles()) is not None:
        # an array costs more than so few numbers do
        return _rows(values, tensor.shape[1]) if all(map(math.isfinite, values)) else None
    if (array := tensor.array()) is None:
        return None
    if kind in LARGEST:
        fits = array.dtype.kind in "iuf" and bool(np.isfinite(array).all())
        if fits and kind == "float" and array.dtype.itemsize == 8:  # noqa: PLR2004 - of 64 bits
            fits = bool((np.abs(array) <= LARGEST["float"]).all())
        array = array if array.dtype == np.float64 else array.astype(np.float64)
    elif kind in BITS:
        least, most = bounds(kind)
        fits = array.dtype.kind in "iu" and (array.size == 0 or least <= int(array.min()) <= int(array.max()) <= most)
    else:
        fits = kind == "boolean" and array.dtype.kind == "b"
    return list(map(tuple, array.tolist())) if fits else None


def _rows(values: Row, width: int) -> list[Row]:
    return (
        [values] if len(values) == width else [values[start : start + width] for start in range(0, len(values), width)]
    )


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


def _in_matrix(problem: Problem, tensor: Tensor, names: Sequence[str]) -> str:
    if problem.column not in names:
        return pointer("inputs", tensor.place)
    return pointer("inputs", tensor.place, "data", (problem.row or 0) * len(names) + names.index(problem.column))
