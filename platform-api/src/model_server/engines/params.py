"""What a request may say beside its rows, held against what the model's signature declares."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from model_server.bundle import Parameter
from model_server.contract.problems import BadInput
from model_server.refusals import Refused

_INTEGERS = {"integer": 31, "long": 63}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(bits: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_FITS: dict[str, Callable[[Any], bool]] = {
    "double": _is_number,
    "float": _is_number,
    **{name: _is_whole(bits) for name, bits in _INTEGERS.items()},
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "datetime": _is_time,
}


def declared_params(listed: list[dict[str, Any]] | None) -> tuple[Parameter, ...]:
    """Return the parameters an MLflow signature lists. Raises Refused `unsupported_param`."""
    found = []
    for entry in listed or ():
        name, kind, shape = str(entry.get("name")), str(entry.get("type")), entry.get("shape")
        if kind not in _FITS or shape not in (None, [-1]):
            raise Refused(
                "unsupported_param",
                f"The parameter '{name}' has the type {kind}; served are {', '.join(sorted(_FITS))} and lists of them.",
            )
        parameter = Parameter(name, kind, entry.get("default"), None if shape is None else (-1,))
        if parameter.default is not None and not _fits(parameter, parameter.default):
            raise Refused(
                "unsupported_param", f"The default of the parameter '{name}' is no {kind}; log the model again."
            )
        found.append(parameter)
    return tuple(found)


def checked_params(declared: tuple[Parameter, ...], given: Any) -> dict[str, Any]:
    """Return every declared parameter with what the request says, or its default. Raises BadInput."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise BadInput("'params' must be an object {name: value}")
    by_name = {parameter.name: parameter for parameter in declared}
    if unknown := sorted(str(name) for name in given if name not in by_name):
        known = f"this model takes {', '.join(by_name)}" if by_name else "this model takes none"
        raise BadInput(f"unknown params: {', '.join(unknown[:10])}; {known}")
    for name, value in given.items():
        parameter = by_name[name]
        if not _fits(parameter, value):
            kind = f"a list of {parameter.type}" if parameter.shape else f"of type {parameter.type}"
            raise BadInput(f"the param '{name}' must be {kind}")
    return {parameter.name: given.get(parameter.name, parameter.default) for parameter in declared}


def _fits(parameter: Parameter, value: Any) -> bool:
    fits = _FITS[parameter.type]
    if parameter.shape is None:
        return fits(value)
    return isinstance(value, list) and all(fits(entry) for entry in value)
