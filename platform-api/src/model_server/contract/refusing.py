"""Find which rows a model refuses, and which value of each, by asking the model itself.

A library says no in its own words, or not at all: an ONNX graph names neither row nor column. So the rows are halved until
the refused ones stand alone, and in those one value after the other is replaced by one the model is known to answer.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from model_server.bundle import InputColumn
from model_server.contract.decoder import Row
from model_server.contract.problems import ModelRefuses, Problem, pointer

Ask = Callable[[list[Row]], Any]
# as many rows as one answer names; finding a column costs a question each
_MOST_ROWS = 5
_MOST_COLUMNS = 300
_LONGEST_WORDS = 200
# XGBoost begins with the time and a place in its source
_PLACE_IN_SOURCE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")


def refusal(ask: Ask, rows: list[Row], columns: Sequence[InputColumn], known: Sequence[Row]) -> ModelRefuses | None:
    """Return what the model refuses of these rows, None when it answers none of the `known`, or refuses no row alone.

    Then it has failed, and the rows are not to blame. `ask` returns for rows that are answered and raises for others.
    """
    good = next((row for row in known if raised(ask, [row]) is None), None)
    if good is None:
        return None
    found = refused_rows(ask, rows, _MOST_ROWS)
    if not found:
        return None
    several = len(rows) > 1
    return ModelRefuses(
        [_problem(ask, rows[place], columns, good, error, place if several else None) for place, error in found.items()]
    )


def refused_rows(ask: Ask, rows: list[Row], most: int) -> dict[int, Exception]:
    """Return the places of refused rows, at most so many, and what was raised for each."""
    found: dict[int, Exception] = {}
    waiting = [(0, len(rows))]
    while waiting and len(found) < most:
        start, end = waiting.pop()
        error = raised(ask, rows[start:end])
        if error is None:
            continue
        if end - start == 1:
            found[start] = error
        else:
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
    return found


def raised(ask: Ask, rows: list[Row]) -> Exception | None:
    """Return what asking raises, None when it answers. Raises MemoryError: that is no refusal."""
    try:
        ask(rows)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - libraries raise anything for rows they do not take
        return error
    return None


def _problem(
    ask: Ask, row: Row, columns: Sequence[InputColumn], good: Row, error: Exception, place: int | None
) -> Problem:
    at = () if place is None else (place,)
    words = _words(error)
    for index, column in enumerate(columns[:_MOST_COLUMNS]):
        if row[index] != good[index] and raised(ask, [(*row[:index], good[index], *row[index + 1 :])]) is None:
            shown = json.dumps(row[index])[:60]
            return Problem(pointer(*at, column.name), f"is {shown}, which the model refuses{words}", place, column.name)
    return Problem(pointer(*at), f"the model refuses this row{words}", place)


def _words(error: Exception) -> str:
    """The model's own words: the first line, without addresses in a library's source."""
    text = _PLACE_IN_SOURCE.sub("", (str(error).strip().splitlines() or [""])[0])
    # onnxruntime speaks of its nodes, which nobody who sends rows knows
    return "" if not text or "ONNXRuntimeError" in text else f" ({text[:_LONGEST_WORDS]})"
