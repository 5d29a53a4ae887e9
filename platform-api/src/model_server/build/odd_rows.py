"""Rows nobody has logged: values a column never had, empty ones and extreme ones, one at a time.

A graph that answers what the model refuses answers something the model would never have said.
"""

import math
from typing import Any

from model_server.bundle import InputColumn
from model_server.contract.values import NESTED, bounds

Rows = list[list[Any]]
_UNSEEN_TEXT = "(never seen)"
# a model of thousands of columns is asked about the first of them
_MOST_COLUMNS = 300
_FAR, _FURTHER, _TINY = 1e3, 1e30, 1e-300


def odd_rows(inputs: tuple[InputColumn, ...], base: Rows) -> Rows:
    """Return the first row with one value at a time replaced by what the column never held."""
    found: Rows = []
    columns = list(zip(*base, strict=True))
    for place, column in enumerate(inputs[:_MOST_COLUMNS]):
        missing = [] if column.required else [None]
        for value in [*missing, *_odd(column, [value for value in columns[place] if value is not None])]:
            row = list(base[0])
            row[place] = value
            found.append(row)
    return found


def _odd(column: InputColumn, known: list[Any]) -> list[Any]:
    if column.type in NESTED or column.type == "binary":
        return []
    if column.type == "boolean":
        return [False, True]
    if column.type == "datetime":
        return ["1970-01-01T00:00:00", "2200-12-31T23:59:59"]
    if column.type == "string":
        return [_UNSEEN_TEXT, "", " ", *(f"{value} " for value in known[:1])]
    least, most = (min(known), max(known)) if known else (0.0, 1.0)
    if column.type in ("long", "integer"):
        lowest, highest = bounds(column.type)
        wanted = [0, -1, least - 1, most + 1, int(_FAR) * (most + 1)]
        return [value for value in wanted if lowest <= value <= highest]
    spread = (most - least) or 1.0
    far = [0.0, least - spread, most + spread, least - _FAR * spread, most + _FAR * spread]
    # a graph may know categories by 32 bits, where a neighbour is the category itself
    near = [_TINY, *(math.nextafter(value, math.inf) for value in known[:1])] if column.type == "double" else []
    # what a 32-bit number holds, a float column may hold
    return [*far, *near, -_FURTHER, _FURTHER]
