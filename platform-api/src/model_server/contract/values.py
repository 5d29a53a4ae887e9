"""One value of one input: what JSON may hold for each type of MLflow's schema, and the form in which it is kept.

A kept value is JSON again: it travels to a model's process, into the log of predictions and back unchanged.
"""

import base64
import binascii
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from model_server.bundle import InputColumn

NESTED = frozenset({"array", "object", "map", "any", "tensor"})
NUMERIC = frozenset({"double", "float", "long", "integer"})
BITS = {"long": 64, "integer": 32}
LARGEST = {"double": sys.float_info.max, "float": 3.4028234663852886e38}
_DEEPEST = 32
# nanoseconds since 1970 in 64 bits: what a data frame can hold
_EARLIEST, _LATEST = datetime(1677, 9, 22, tzinfo=UTC), datetime(2262, 4, 11, tzinfo=UTC)
_FINER_THAN_MICROSECONDS = re.compile(r"\.\d{6}\d*[1-9]")


class Misfit(ValueError):
    """The value does not fit; the message completes the sentence "'column' …"."""


def held(column: InputColumn, value: Any) -> Any:
    """Return the value as it is kept. Raises Misfit."""
    if value is None:
        if column.required:
            raise Misfit("is null, and this input is required")
        return None
    return _by_type(column.spec or {"type": column.type}, value, 0)


def bounds(kind: str) -> tuple[int, int]:
    """Return the least and the largest whole number of a type."""
    most = 2 ** (BITS[kind] - 1) - 1
    return -most - 1, most


def _by_type(spec: Mapping[str, Any], value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise Misfit(f"is nested deeper than {_DEEPEST} levels")
    kind = str(spec["type"])
    if kind in LARGEST:
        return _real(kind, value)
    if kind in BITS:
        return _whole(kind, value)
    return _READERS[kind](spec, value, depth)


def _real(kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit(f"must be a number, not {_shown(value)}")
    if not -sys.float_info.max <= value <= sys.float_info.max:
        raise Misfit("is not a finite number")
    if abs(value) > LARGEST[kind]:
        raise Misfit("does not fit a number of 32 bits")
    return float(value)


def _whole(kind: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise Misfit(f"must be a whole number, not {_shown(value)}")
    least, most = bounds(kind)
    if not least <= value <= most:
        raise Misfit(f"does not fit {BITS[kind]} bits")
    if value != int(value):
        raise Misfit(f"must be a whole number, not {_shown(value)}")
    return int(value)


def _boolean(_spec: Mapping[str, Any], value: Any, _depth: int) -> bool:
    if not isinstance(value, bool):
        raise Misfit(f"must be true or false, not {_shown(value)}")
    return value


def _string(_spec: Mapping[str, Any], value: Any, _depth: int) -> str:
    if not isinstance(value, str):
        raise Misfit(f"must be text, not {_shown(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Misfit("holds half of a surrogate pair, which is no character") from error
    return value


def _datetime(_spec: Mapping[str, Any], value: Any, _depth: int) -> str:
    if not isinstance(value, str):
        raise Misfit(f"must be a date and time as text (ISO 8601), not {_shown(value)}")
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise Misfit(f"must be a date and time as ISO 8601, not {_shown(value)}") from error
    if _FINER_THAN_MICROSECONDS.search(value):
        raise Misfit("is finer than microseconds")
    # without an offset it means what the training data meant: no zone at all
    there = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    if not _EARLIEST <= there <= _LATEST:
        raise Misfit("lies outside the years 1677 to 2262")
    return there.replace(tzinfo=None).isoformat()


def _binary(_spec: Mapping[str, Any], value: Any, _depth: int) -> str:
    if not isinstance(value, str):
        raise Misfit(f"must be bytes as base64 text, not {_shown(value)}")
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Misfit("is not base64") from error
    return value


def _array(spec: Mapping[str, Any], value: Any, depth: int) -> list[Any]:
    if not isinstance(value, list):
        raise Misfit(f"must be a list, not {_shown(value)}")
    return [_inside(spec["items"], part, depth, place) for place, part in enumerate(value)]


def _map(spec: Mapping[str, Any], value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misfit(f"must be an object, not {_shown(value)}")
    return {_string(spec, name, depth): _inside(spec["values"], part, depth, name) for name, part in value.items()}


def _object(spec: Mapping[str, Any], value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misfit(f"must be an object, not {_shown(value)}")
    properties = spec["properties"]
    if unknown := sorted(set(value) - set(properties)):
        raise Misfit(f"has the unknown member '{unknown[0]}'")
    needed = [name for name, part in properties.items() if part.get("required", True) and value.get(name) is None]
    if needed:
        raise Misfit(f"lacks the member '{needed[0]}'")
    return {name: _inside(properties[name], part, depth, name) for name, part in value.items() if part is not None}


def _any(_spec: Mapping[str, Any], value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise Misfit(f"is nested deeper than {_DEEPEST} levels")
    if isinstance(value, list):
        return [_any(_spec, part, depth + 1) for part in value]
    if isinstance(value, dict):
        return {_string(_spec, name, depth): _any(_spec, part, depth + 1) for name, part in value.items()}
    if isinstance(value, str):
        return _string(_spec, value, depth)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return _real("double", value)


def _tensor(spec: Mapping[str, Any], value: Any, depth: int) -> Any:
    """Values nested as the shape says; -1 is any length."""
    shape = spec["shape"]
    if not shape:
        return _by_type({"type": spec["dtype"]}, value, depth + 1)
    if not isinstance(value, list):
        raise Misfit(f"must be a list of {_many(shape[0])} values, not {_shown(value)}")
    if shape[0] not in (-1, len(value)):
        raise Misfit(f"must have {shape[0]} values here, not {len(value)}")
    inner = {**spec, "shape": shape[1:]}
    return [_tensor(inner, part, depth + 1) for part in value]


def _many(size: int) -> str:
    return "any number of" if size < 0 else str(size)


def _inside(spec: Mapping[str, Any], value: Any, depth: int, at: object) -> Any:
    try:
        return _by_type(spec, value, depth + 1)
    except Misfit as misfit:
        raise Misfit(f"at {json.dumps(at)} {misfit}") from misfit


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - what a sentence bears


_READERS: dict[str, Callable[[Mapping[str, Any], Any, int], Any]] = {
    "boolean": _boolean,
    "string": _string,
    "datetime": _datetime,
    "binary": _binary,
    "array": _array,
    "object": _object,
    "map": _map,
    "any": _any,
    "tensor": _tensor,
}
TYPES = frozenset({*LARGEST, *BITS, *_READERS})
