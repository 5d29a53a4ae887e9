"""The fast way from JSON to rows: types made of a model's columns, decoded by msgspec in microseconds."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from model_server.bundle import InputColumn
from model_server.contract.values import LARGEST, bounds

Row = tuple[Any, ...]
_TYPES: dict[str, Any] = {"double": float, "float": float, "long": int, "integer": int, "boolean": bool, "string": str}


class FastDecoder:
    """Decodes one object, a list of objects or columns of values, where it can be sure of the result."""

    def __init__(self, columns: Sequence[InputColumn], types: list[tuple[Any, ...]]) -> None:
        names = {f"f{index}": column.name for index, column in enumerate(columns)}
        lists: list[tuple[Any, ...]] = []
        for alias, kind, *optional in types:
            # types made at run time
            lists.append((alias, list[kind] | None, None) if optional else (alias, list[kind]))  # type: ignore[valid-type]
        # keyword-only, so that optional fields may stand before required ones
        row = msgspec.defstruct("Row", types, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)
        table = msgspec.defstruct("Columns", lists, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)
        self._row: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)
        self._rows: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        self._table: msgspec.json.Decoder[Any] = msgspec.json.Decoder(table)
        self._width = len(columns)
        self._all_required = all(column.required for column in columns)
        # a text may hold what looks like a member
        self._has_text = any(column.type == "string" for column in columns)

    @classmethod
    def of(cls, columns: Sequence[InputColumn]) -> "FastDecoder | None":
        """Return a decoder, None where a type or a name of the model's inputs is not for this way."""
        if any(column.type not in _TYPES for column in columns):
            return None
        try:
            return cls(columns, [_field(f"f{index}", column) for index, column in enumerate(columns)])
        except ValueError:
            # a quote, a backslash or a control character in a name
            return None

    def decode(self, raw: bytes) -> list[Row] | None:
        """Return the rows, None when the slow way has to say: it does not fit, or a member may be named twice."""
        try:
            if raw[:1] == b"[":
                rows = list(map(msgspec.structs.astuple, self._rows.decode(raw)))
                return rows if self._is_unique(raw, rows) else None
            try:
                rows = [msgspec.structs.astuple(self._row.decode(raw))]
            except msgspec.ValidationError:
                return self._columns(raw)
            return rows if self._is_unique(raw, rows) else None
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None

    def _columns(self, raw: bytes) -> list[Row] | None:
        columns = msgspec.structs.astuple(self._table.decode(raw))
        if None in columns or raw.count(b":") != self._width:
            return None
        return list(zip(*columns, strict=True))

    def _is_unique(self, raw: bytes, rows: list[Row]) -> bool:
        """Whether there are as many colons as members, when each input is named once or left out."""
        members = self._width * len(rows)
        if not self._all_required and (left_out := sum(row.count(None) for row in rows)):
            if self._has_text:
                return False
            members -= left_out - raw.count(b"null")
        return raw.count(b":") == members


def value_type(column: InputColumn) -> Any:
    """Return the Python type, with its bounds, that holds a value of an input; None when its type is not for this way."""
    kind = _TYPES.get(column.type)
    if kind is int:
        # what is larger would end in the model, as a failure of its own
        least, most = bounds(column.type)
        return Annotated[int, msgspec.Meta(ge=least, le=most)]
    if column.type == "float":
        return Annotated[float, msgspec.Meta(ge=-LARGEST["float"], le=LARGEST["float"])]
    return kind


def _field(alias: str, column: InputColumn) -> tuple[Any, ...]:
    kind = value_type(column)
    return (alias, kind) if column.required else (alias, kind | None, None)
