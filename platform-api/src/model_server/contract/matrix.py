"""Rows sent as lists of values of one type, the fast way: decoded by msgspec in microseconds."""

from collections.abc import Sequence
from typing import Any

import msgspec

from model_server.bundle import InputColumn
from model_server.contract.fast import Row, value_type


class MatrixDecoder:
    """Decodes values in row-major order, flat or as a list per row, where every input has the same type."""

    def __init__(self, kind: Any, width: int) -> None:
        self._flat: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[kind])
        self._nested: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[list[kind]])
        self._width = width

    @classmethod
    def of(cls, columns: Sequence[InputColumn]) -> "MatrixDecoder | None":
        """Return a decoder, None where the model's inputs are not of one plain type."""
        kinds = {column.type for column in columns}
        kind = value_type(columns[0]) if len(kinds) == 1 else None
        return None if kind is None else cls(kind, len(columns))

    def decode(self, raw: bytes) -> list[Row] | None:
        """Return the rows, None when the slow way has to say: a null, a value that does not fit, another length."""
        width = self._width
        try:
            if raw.startswith(b"[["):
                rows = list(map(tuple, self._nested.decode(raw)))
                return rows if all(len(row) == width for row in rows) else None
            values = self._flat.decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if len(values) == width:
            return [tuple(values)]
        if len(values) % width:
            return None
        return [tuple(values[start : start + width]) for start in range(0, len(values), width)]
