"""Would IAM allow this call? A small evaluator of identity policies: denied unless allowed, and a denial wins.

Conditions are evaluated for the operators the platform's policies use; one it does not know is an error, not a guess.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

Statement = Mapping[str, Any]


def allowed(
    statements: Iterable[Statement], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    matching = [entry for entry in statements if _applies(entry, action, resource, context or {})]
    return not any(entry["Effect"] == "Deny" for entry in matching) and any(
        entry["Effect"] == "Allow" for entry in matching
    )


def _applies(entry: Statement, action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        any(fnmatchcase(action.lower(), pattern.lower()) for pattern in _list(entry["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in _list(entry["Resource"]))
        and all(_holds(operator, expected, context) for operator, expected in entry.get("Condition", {}).items())
    )


def _holds(operator: str, expected: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    for key, values in expected.items():
        given = context.get(key)
        match operator:
            case "StringEquals" | "Bool" | "ArnEquals":
                matched = given in _list(values)
            case "StringLike" | "ArnLike":
                matched = given is not None and any(fnmatchcase(given, pattern) for pattern in _list(values))
            case "ForAllValues:StringEquals":
                matched = given is None or given in _list(values)
            case _:
                raise ValueError(f"the simulation does not know the operator {operator}")
        if not matched:
            return False
    return True


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
