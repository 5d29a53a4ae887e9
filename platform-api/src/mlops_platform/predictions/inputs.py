"""From JSON to the rows of one model: a decoder compiled per revision, and a slow twin that explains what is wrong."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import orjson

from mlops_platform.predictions.problems import InputNotValid, PredictNotJson

Row = tuple[Any, ...]

_TYPES: dict[str, Any] = {"double": float, "float": float, "long": int, "integer": int, "boolean": bool, "string": str}
_BITS = {"long": 64, "integer": 32}
_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
MAX_ROWS = 10_000
_MAX_PROBLEMS = 50
_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Column:
    """One input of a model."""

    name: str
    type: str
    required: bool


class InputDecoder:
    """Decodes `input_data` in any of its forms: one row, columns of values, or a list of rows."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        # None for names that no type can have
        self._typed = _typed(self.columns)

    def decode(self, raw: bytes | memoryview) -> list[Row]:
        """Return the rows, each in the model's column order. Raises InputNotValid with every problem found, PredictNotJson."""
        try:
            if self._typed is None:
                rows = self._by_name(raw)
            elif bytes(raw[:1]) == b"[":
                rows = [msgspec.structs.astuple(row) for row in self._typed.rows.decode(raw)]
            else:
                try:
                    return [msgspec.structs.astuple(self._typed.row.decode(raw))]
                except msgspec.ValidationError:
                    columns = msgspec.structs.astuple(self._typed.table.decode(raw))
                    count = max((len(values) for values in columns if values is not None), default=0)
                    rows = list(zip(*([None] * count if values is None else values for values in columns), strict=True))
        except (msgspec.DecodeError, ValueError) as error:
            raise self._explained(bytes(raw)) from error
        if not 0 < len(rows) <= MAX_ROWS:
            raise InputNotValid(f"Send 1 to {MAX_ROWS} rows at once, not {len(rows)}.")
        return rows

    def objects(self, raw: bytes, rows: list[Row]) -> orjson.Fragment | list[dict[str, Any]]:
        """Return the rows as one JSON list of objects, in the caller's own bytes where they are that already."""
        one = len(rows) == 1 and raw[:1] == b"{" and b"[" not in raw
        if not one and raw[:1] != b"[":
            names = [column.name for column in self.columns]
            return [dict(zip(names, row, strict=True)) for row in rows]
        # outside strings a line feed is only layout, inside them JSON has none: a record stays one line
        flat = raw.replace(b"\n", b" ")
        return orjson.Fragment(b"[%b]" % flat if one else flat)

    def check(self, rows: Sequence[dict[str, Any]]) -> list[Row]:
        """Return rows given as dictionaries. Raises InputNotValid."""
        problems = [problem for index, row in enumerate(rows) for problem in self._row_problems(row, f"/{index}")]
        if problems:
            raise _not_valid(problems)
        return [tuple(row.get(column.name) for column in self.columns) for row in rows]

    def _by_name(self, raw: bytes | memoryview) -> list[Row]:
        """Decode without types: any name will do, and it takes ten times as long."""
        data = msgspec.json.decode(raw)
        if problems := self._problems(data):
            raise _not_valid(problems)
        if isinstance(data, dict) and data and all(isinstance(value, list) for value in data.values()):
            data = [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
        listed = data if isinstance(data, list) else [data]
        return [tuple(_held(row.get(column.name), column) for column in self.columns) for row in listed]

    def _explained(self, raw: bytes) -> InputNotValid | PredictNotJson:
        try:
            # Python's reader takes NaN and Infinity, which JSON has not: then we can say where they are
            data = json.loads(raw)
        except ValueError:
            return PredictNotJson()
        problems = self._problems(data)
        if not problems:
            return InputNotValid("Numbers must be finite and fit 64 bits.")
        return _not_valid(problems)

    def _problems(self, data: Any) -> list[dict[str, str]]:
        if isinstance(data, list):
            return [problem for index, row in enumerate(data) for problem in self._row_problems(row, f"/{index}")]
        if isinstance(data, dict) and data and all(isinstance(value, list) for value in data.values()):
            return self._table_problems(data)
        return self._row_problems(data, "")

    def _table_problems(self, data: dict[str, list[Any]]) -> list[dict[str, str]]:
        lengths = {len(values) for values in data.values()}
        if len(lengths) > 1:
            return [_problem("", f"columns have different lengths: {sorted(lengths)}")]
        rows = [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
        found = [(index, problem) for index, row in enumerate(rows) for problem in self._row_problems(row, "")]
        return [{**problem, "pointer": f"{problem['pointer']}/{index}"} for index, problem in found] or (
            [] if rows else self._row_problems({}, "")
        )

    def _row_problems(self, row: Any, at: str) -> list[dict[str, str]]:
        if not isinstance(row, dict):
            return [_problem(at, "a row is an object of named values")]
        known = {column.name for column in self.columns}
        found = [_problem(f"{at}/{name}", "is not an input of this model") for name in row if name not in known]
        for column in self.columns:
            if column.name not in row:
                if column.required:
                    found.append(_problem(f"{at}/{column.name}", "is missing"))
            elif sentence := _wrong(row[column.name], column):
                found.append(_problem(f"{at}/{column.name}", sentence))
        return found


@dataclass(frozen=True)
class _Typed:
    """Decoders for types made of a model's columns."""

    row: msgspec.json.Decoder[Any]
    rows: msgspec.json.Decoder[Any]
    table: msgspec.json.Decoder[Any]


def _typed(columns: Sequence[Column]) -> _Typed | None:
    names = {f"f{index}": column.name for index, column in enumerate(columns)}
    fields, lists = [_field(*pair) for pair in zip(names, columns, strict=True)], []
    for alias, kind, *optional in fields:
        # types made at run time
        lists.append((alias, list[kind] | None, None) if optional else (alias, list[kind]))  # type: ignore[valid-type]
    try:
        # keyword-only, so that optional fields may stand before required ones
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)
        table = msgspec.defstruct("Columns", lists, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)
    except ValueError:
        # a quote, a backslash or a control character in a name
        return None
    row_decoder: Any = msgspec.json.Decoder(row)
    rows_decoder: Any = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
    table_decoder: Any = msgspec.json.Decoder(table)
    return _Typed(row_decoder, rows_decoder, table_decoder)


def _held(value: Any, column: Column) -> Any:
    return float(value) if _TYPES[column.type] is float and value is not None else value


def _bounds(column: Column) -> tuple[int, int]:
    most: int = 2 ** (_BITS[column.type] - 1) - 1
    return -most - 1, most


def _field(alias: str, column: Column) -> Any:
    kind = _TYPES[column.type]
    if kind is int:
        # what is larger would end in the model, as a failure of its own
        least, most = _bounds(column)
        kind = Annotated[int, msgspec.Meta(ge=least, le=most)]
    return (alias, kind) if column.required else (alias, kind | None, None)


def _wrong(value: Any, column: Column) -> str | None:
    kind = _TYPES[column.type]
    if value is None:
        return "is null, and this input is required" if column.required else None
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return None if -_LARGEST <= value <= _LARGEST else "is not a finite number"
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        least, most = _bounds(column)
        return None if least <= value <= most else f"does not fit {_BITS[column.type]} bits"
    if kind in (bool, str) and isinstance(value, kind):
        return None
    return f"must be {_WORDS[kind]}, not {json.dumps(value)[:60]}"


def _problem(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": f"/input_data{pointer}", "detail": detail}


def _not_valid(problems: list[dict[str, str]]) -> InputNotValid:
    shown = "; ".join(f"'{problem['pointer'].rsplit('/', 1)[-1]}' {problem['detail']}" for problem in problems[:5])
    more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""  # noqa: PLR2004 - as many as were shown
    return InputNotValid(f"{shown}{more}.", errors=problems[:_MAX_PROBLEMS])
