"""One tensor of a request: its values as they were sent, in JSON or in binary."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model_server.bundle import InputColumn
from model_server.contract.problems import BadInput, NotJson, Problem, pointer
from model_server.contract.strict_json import read_any, read_json
from model_server.contract.values import NESTED
from model_server.doors.datatypes import BYTES, LAYOUT

_LENGTH_BYTES = 4
_FEW = 256


class Tensor(NamedTuple):
    """A named tensor. Either `data`, its JSON, or `binary`, its bytes in the protocol's own layout; never both."""

    place: int
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes
    binary: memoryview | None

    @property
    def size(self) -> int:
        """How many values its shape asks for."""
        return math.prod(self.shape)

    def array(self) -> npt.NDArray[Any] | None:
        """Return the numbers of a binary tensor in its shape, without a copy; None for texts and for JSON. Raises BadInput."""
        if self.binary is None or self.datatype == BYTES:
            return None
        kind = np.dtype(LAYOUT[self.datatype])
        if len(self.binary) != self.size * kind.itemsize:
            raise self.problem(
                f"has {len(self.binary)} bytes; {self.size} values of {self.datatype} have {self.size * kind.itemsize}"
            )
        return np.frombuffer(self.binary, kind).reshape(self.shape)

    def doubles(self) -> tuple[float, ...] | None:
        """Return the numbers of a small binary tensor of 64 bits; None where `array` is the way."""
        size = self.size
        if self.binary is None or self.datatype != "FP64" or not 0 < size <= _FEW or len(self.binary) != size * 8:
            return None
        return struct.unpack(f"<{size}d", self.binary)

    def values(self) -> list[Any]:
        """Return all values in row-major order; NaN of a binary tensor is a missing one. Raises BadInput and NotJson."""
        found = self._from_json() if self.binary is None else self._from_binary(self.binary)
        if len(found) != self.size:
            raise self.problem(f"has {len(found)} values; its shape asks for {self.size}")
        return found

    def column(self, column: InputColumn) -> list[Any]:
        """Return one value a row for an input. Raises BadInput and NotJson."""
        values = self.values()
        inner = self.shape[1:]
        if column.type in NESTED and self.datatype == BYTES:
            return [self._nested(value, row) for row, value in enumerate(values)]
        if inner in ((), (1,)) and not _is_longer(column):
            if self.datatype != BYTES:
                return values
            return [self._text(value, column, row) for row, value in enumerate(values)]
        if column.type not in NESTED:
            raise self.problem(f"must have the shape [rows] or [rows, 1], not {list(self.shape)}")
        return folded(values, self.shape)

    def problem(self, detail: str) -> BadInput:
        """Return the refusal of this tensor."""
        return BadInput([Problem(pointer("inputs", self.place), detail, column=self.name or None)])

    def _from_json(self) -> list[Any]:
        if not self.data:
            raise self.problem("has no data")
        data = read_any(self.data)
        if not isinstance(data, list):
            raise self.problem("must have a list as its data")
        while data and isinstance(data[0], list):
            if not all(isinstance(part, list) for part in data):
                raise self.problem("is ragged")
            data = [value for part in data for value in part]
        return data

    def _from_binary(self, binary: memoryview) -> list[Any]:
        if self.datatype == BYTES:
            return list(self._texts(binary))
        array = self.array()
        assert array is not None
        values: list[Any] = array.reshape(-1).tolist()
        if array.dtype.kind == "f" and np.isnan(array).any():
            return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
        return values

    def _texts(self, binary: memoryview) -> Iterator[bytes]:
        at = 0
        while at < len(binary):
            if at + _LENGTH_BYTES > len(binary):
                raise self.problem("ends inside the length of a value")
            length = int.from_bytes(binary[at : at + _LENGTH_BYTES], "little")
            at += _LENGTH_BYTES
            if at + length > len(binary):
                raise self.problem("ends inside a value")
            yield bytes(binary[at : at + length])
            at += length

    def _text(self, value: Any, column: InputColumn, row: int) -> Any:
        """Return a text of binary data as JSON would have it: base64 where the model takes bytes."""
        if not isinstance(value, bytes):
            return value
        if column.type == "binary":
            return base64.b64encode(value).decode()
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            place = pointer("inputs", self.place, "data", row)
            raise BadInput([Problem(place, "is not text in UTF-8", row, self.name)]) from error

    def _nested(self, value: Any, row: int) -> Any:
        if not isinstance(value, str | bytes):
            return value
        try:
            return read_json(value.encode() if isinstance(value, str) else value)
        except (NotJson, UnicodeEncodeError) as error:
            place = pointer("inputs", self.place, "data", row)
            raise BadInput([Problem(place, f"must be JSON as text: {error}", row, self.name)]) from error


def folded(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return flat values as nested lists of a shape."""
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)] if size else []
    return values


def _is_longer(column: InputColumn) -> bool:
    """Whether one row of an input is a list of values, and so its tensor has an axis more."""
    return column.type == "array" or (column.type == "tensor" and bool((column.spec or {}).get("shape")))
