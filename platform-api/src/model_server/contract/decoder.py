"""From JSON to the rows of one model: a decoder compiled per revision, and a slow twin that is always right.

The fast decoder only ever accepts what the slow one accepts, with the same result; what it does not accept is asked again.
"""

import difflib
from collections.abc import Mapping, Sequence, Sized
from functools import cached_property
from typing import Any, Literal

import orjson

from model_server.bundle import InputColumn
from model_server.contract.fast import FastDecoder
from model_server.contract.matrix import MatrixDecoder
from model_server.contract.problems import MAX_PROBLEMS, BadInput, Problem, pointer
from model_server.contract.strict_json import read_json
from model_server.contract.values import NESTED, Misfit, held

Row = tuple[Any, ...]
Extra = Literal["refuse", "ignore"]
MAX_ROWS = 10_000
MAX_CELLS = 2_000_000


class Decoder:
    """Decodes rows in every layout a request may have.

    An object is one row; where every value is a list, and no input holds lists itself, it is columns of values. A list is
    rows: objects, or lists of values in the model's order; for a model of one input also the values themselves.
    `extra` says what becomes of a value that is none of the inputs: `refuse`, or `ignore` as MLflow's own server does.
    """

    def __init__(self, columns: Sequence[InputColumn], extra: Extra = "refuse") -> None:
        self.columns = tuple(columns)
        self._by_name = {column.name: (place, column) for place, column in enumerate(self.columns)}
        self.names = tuple(column.name for column in self.columns)
        kinds = {column.type for column in self.columns}
        self.one_type = kinds.pop() if len(kinds) == 1 else None
        """The type of all inputs, None when they have several."""
        self._required = [column for column in self.columns if column.required]
        self._extra = extra
        self._nested = any(column.type in NESTED for column in self.columns)

    @cached_property
    def _fast(self) -> FastDecoder | None:
        # made when it is first needed: types take a millisecond to make
        return FastDecoder.of(self.columns) if self._extra == "refuse" else None

    @cached_property
    def _matrix(self) -> MatrixDecoder | None:
        return MatrixDecoder.of(self.columns)

    def matrix(self, raw: bytes, shape: Sequence[int]) -> list[Row] | None:
        """Return the rows of JSON values in row-major order; None when they have to be looked at one by one.

        Raises BadInput when there are too many.
        """
        if self._matrix is None or (rows := self._matrix.decode(raw)) is None or len(rows) != shape[0]:
            return None
        self.count(rows)
        return rows

    def decode(self, raw: bytes) -> list[Row]:
        """Return the rows, each in the model's column order. Raises BadInput with every problem found, and NotJson."""
        if raw[:2] == b"[[":
            rows = self._matrix.decode(raw) if self._matrix is not None and not self._nested else None
        else:
            rows = self._fast.decode(raw) if self._fast is not None else None
        if rows is None:
            return self.rows(read_json(raw))
        if len(rows) != 1:
            self.count(rows)
        return rows

    def rows(self, data: Any) -> list[Row]:
        """Return the rows of parsed JSON in any layout. Raises BadInput."""
        if isinstance(data, dict):
            if data and not self._nested and all(isinstance(value, list) for value in data.values()):
                return self.table(data)
            data, single = [data], True
        elif isinstance(data, list):
            single = False
        else:
            raise BadInput([Problem("", "send rows: an object of named values, or a list of them")])
        self.count(data)
        rows: list[Row] = []
        problems: list[Problem] = []
        for index, row in enumerate(data):
            found = self._row(row, None if single else index)
            if isinstance(found, tuple):
                rows.append(found)
            else:
                problems += found
                if len(problems) > MAX_PROBLEMS:
                    break
        if problems:
            raise BadInput(problems)
        return rows

    def table(self, columns: Mapping[str, Sequence[Any]]) -> list[Row]:
        """Return the rows of columns of values. Raises BadInput."""
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise BadInput([Problem("", f"columns have different lengths: {sorted(lengths)}")])
        problems = self._unknown(columns, "", None)
        count = lengths.pop() if lengths else 0
        self.count(range(count))
        kept: list[Sequence[Any]] = []
        for column in self.columns:
            if column.name not in columns:
                kept.append([None] * count)
                if column.required:
                    problems.append(_missing(column, "", None))
                continue
            values, misfits = self._column(column, columns[column.name], count)
            kept.append(values)
            problems += misfits
        if problems:
            raise BadInput(problems)
        return list(zip(*kept, strict=True))

    def lists(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Row]:
        """Return rows that were sent as lists beside the names of their columns. Raises BadInput."""
        if len(set(names)) != len(names):
            raise BadInput([Problem("", "an input is named twice")])
        self.count(rows)
        short = [index for index, row in enumerate(rows) if len(row) != len(names)]
        if short:
            raise BadInput(
                [Problem(pointer(index), f"a row needs {len(names)} values", index) for index in short[:MAX_PROBLEMS]]
            )
        return self.table(dict(zip(names, zip(*rows, strict=True), strict=True)))

    def objects(self, raw: bytes, rows: list[Row]) -> orjson.Fragment | list[dict[str, Any]]:
        """Return the rows as one JSON list of objects, in the caller's own bytes where they are that already."""
        own = self._fast is not None and (
            (len(rows) == 1 and raw[:1] == b"{" and b"[" not in raw) or (raw[:2] == b"[{" and b"[" not in raw[1:])
        )
        if not own:
            return [dict(zip(self.names, row, strict=True)) for row in rows]
        # outside strings a line feed is only layout, inside them JSON has none: a record stays one line
        flat = raw.replace(b"\n", b" ")
        return orjson.Fragment(b"[%b]" % flat if raw[:1] == b"{" else flat)

    def count(self, rows: Sized) -> None:
        """Raise BadInput unless so many rows may be sent at once."""
        if not 0 < len(rows) <= MAX_ROWS:
            raise BadInput([Problem("", f"send 1 to {MAX_ROWS:,} rows at once, not {len(rows):,}")])
        if len(rows) * len(self.columns) > MAX_CELLS:
            raise BadInput([Problem("", f"send at most {MAX_CELLS:,} values at once (rows times inputs)")])

    def _row(self, row: Any, index: int | None) -> Row | list[Problem]:
        at = "" if index is None else pointer(index)
        if isinstance(row, dict):
            return self._named(row, at, index)
        if len(self.columns) == 1:
            alone = self.columns[0].type in NESTED or not (isinstance(row, list) and len(row) == 1)
            row = [row] if alone else row
        if not isinstance(row, list) or len(row) != len(self.columns):
            sentence = f"a row is an object of named values, or a list of {len(self.columns)} in the model's order"
            return [Problem(at, sentence, index)]
        return self._kept(((column, value) for column, value in zip(self.columns, row, strict=True)), at, index)

    def _named(self, row: dict[str, Any], at: str, index: int | None) -> Row | list[Problem]:
        problems = self._unknown(row, at, index)
        problems += [_missing(column, at, index) for column in self._required if column.name not in row]
        if problems:
            # with them, whatever else is wrong: one answer should do to mend a request
            found = self._kept(((column, row[column.name]) for column in self.columns if column.name in row), at, index)
            return problems + (found if isinstance(found, list) else [])
        return self._kept(((column, row.get(column.name)) for column in self.columns), at, index)

    def _kept(self, pairs: Any, at: str, index: int | None) -> Row | list[Problem]:
        values: list[Any] = []
        problems: list[Problem] = []
        for column, value in pairs:
            try:
                values.append(held(column, value))
            except Misfit as misfit:
                problems.append(Problem(f"{at}{pointer(column.name)}", str(misfit), index, column.name))
        return problems or tuple(values)

    def _column(self, column: InputColumn, values: Sequence[Any], count: int) -> tuple[list[Any], list[Problem]]:
        kept: list[Any] = []
        problems: list[Problem] = []
        for index, value in enumerate(values):
            try:
                kept.append(held(column, value))
            except Misfit as misfit:
                kept.append(None)
                row = index if count > 1 else None
                problems.append(Problem(pointer(column.name, index), str(misfit), row, column.name))
                if len(problems) > MAX_PROBLEMS:
                    return [None] * count, problems
        return kept, problems

    def _unknown(self, names: Mapping[str, Any], at: str, index: int | None) -> list[Problem]:
        if self._extra == "ignore":
            return []
        unknown = [name for name in names if name not in self._by_name][:MAX_PROBLEMS]
        return [
            Problem(f"{at}{pointer(name)}", f"is not an input of this model{self._near(name)}", index, name)
            for name in unknown
        ]

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name[:200], self._by_name, 1)
        return f"; did you mean '{near[0]}'?" if near else ""


def _missing(column: InputColumn, at: str, index: int | None) -> Problem:
    return Problem(f"{at}{pointer(column.name)}", "is missing", index, column.name)
