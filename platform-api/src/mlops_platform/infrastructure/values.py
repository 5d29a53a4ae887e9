"""Reading values of a plan, whose blocks are lists and whose numbers may be absent. Pure."""

import sys
from typing import Any


def field(values: Any, path: str) -> Any:
    """Return what is at a dotted path (`rule.0.days`); None where the path ends early."""
    found = values
    for part in path.split("."):
        if isinstance(found, list):
            found = found[int(part)] if part.isdigit() and int(part) < len(found) else None
        else:
            found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            return None
    return found


def whole(value: Any, endless: bool = False) -> int:
    """Return a number; nothing is 0, or the largest number where nothing and 0 mean for ever."""
    number = int(value or 0)
    return sys.maxsize if endless and number == 0 else number
