"""One value as a person reads it. Pure but for one question: whether anybody looks at a screen."""

import json
import sys
from datetime import datetime
from typing import Any


def is_nested(value: Any) -> bool:
    """Return whether a value is an object or a list of objects, which gets a section of its own."""
    return bool(value) and (
        isinstance(value, dict) or (isinstance(value, list) and all(isinstance(row, dict) for row in value))
    )


def cell(name: str, value: Any) -> str:
    """Return a value in words. Times of day are local and to the minute on a screen; programs that read a pipe get them whole."""
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return _figure(name, value)
        case str():
            return _local(value) if name.endswith("_at") and sys.stdout.isatty() else value
        case dict() | list():
            return _several(value)
        case _:
            return str(value)


def _several(value: dict[str, Any] | list[Any]) -> str:
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(map(str, value))
    return json.dumps(value, default=str, ensure_ascii=False)


def _figure(name: str, value: float) -> str:
    if name == "traffic":
        return f"{value:.0%}"
    if name == "usd":
        return f"{value:,.2f}" if value >= 0.01 or value == 0 else "< 0.01"  # noqa: PLR2004 - a cent
    return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"


def _local(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text
