"""What the rows of a logged example tell of inputs that its signature does not tell. Decisions; reads no file."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from model_server.bundle import InputColumn
from model_server.contract.values import bounds
from model_server.refusals import Refused

Table = tuple[list[str], list[list[Any]]]


def typed_by(example: Table | None, names: Sequence[str]) -> tuple[InputColumn, ...] | None:
    """Return the inputs of these names with the types their values have; None for an example of other columns."""
    if example is None or not example[1] or sorted(example[0]) != sorted(names):
        return None
    columns, rows = example
    if any(len(row) != len(columns) for row in rows):
        return None
    found = dict(zip(columns, zip(*rows, strict=True), strict=True))
    return tuple(_column(name, found[name]) for name in names)


def refuse_local_times(example: Table | None, inputs: Sequence[InputColumn]) -> None:
    """Raise Refused for dates of a zone: a signature forgets it, and the model would get other hours than it learnt."""
    if example is None:
        return
    columns, rows = example
    for name in [column.name for column in inputs if column.type == "datetime" and column.name in columns]:
        place = columns.index(name)
        for offset in (_offset(row[place]) for row in rows if len(row) == len(columns)):
            if offset:
                raise Refused(
                    "unsupported_input_type",
                    f"The dates of '{name}' are in a time zone ({offset}), which MLflow's signature does not keep: models get "
                    f"UTC. Train on UTC, with frame['{name}'].dt.tz_convert('UTC').dt.tz_localize(None).",
                )


def _column(name: str, values: Sequence[Any]) -> InputColumn:
    held = [value for value in values if value is not None and value == value]  # noqa: PLR0124 - NaN
    kind = _type_of(held)
    return InputColumn(name, kind, required=len(held) == len(values) and kind != "any")


def _type_of(values: list[Any]) -> str:
    kinds = {type(value) for value in values}
    least, most = bounds("long")
    if kinds == {int} and all(least <= value <= most for value in values):
        return "long"
    if kinds <= {int, float}:
        return "double"
    return {str: "string", bool: "boolean"}.get(kinds.pop(), "any") if len(kinds) == 1 else "any"


def _offset(value: Any) -> str | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.isoformat()[-6:] if found.utcoffset() else None
