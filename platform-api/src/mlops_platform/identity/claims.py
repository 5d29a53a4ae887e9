"""A token's header and claims as strict JSON: one meaning for every reader, and no input that costs more than its length."""

import base64
import json
import math
from typing import Any

# claims are a few flat values; deeper nesting is an attack on whoever parses it
_DEEPEST = 16
# the end of the year 9999 in Unix seconds: what lies behind it is no time
_LATEST = 253_402_300_799


class ClaimsNotValid(ValueError):
    """The text is not one unambiguous JSON object; the message is a sentence without any of its content."""


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a compact JWT, neither of them trusted yet. Raises ClaimsNotValid."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        raise ClaimsNotValid("The token is not a JSON Web Token.")
    return _object(parts[0]), _object(parts[1])


def is_time(value: object) -> bool:
    """Return whether a claim is a number of seconds that a clock can reach: finite, not negative, before the year 10000."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (isinstance(value, int) or math.isfinite(value)) and 0 <= value <= _LATEST


def _object(part: str) -> dict[str, Any]:
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
    except ValueError as error:
        raise ClaimsNotValid("The token is not a JSON Web Token.") from error
    # looking at each character costs time: a few brackets cannot be many levels
    if text.count("[") + text.count("{") > _DEEPEST and _depth(text) > _DEEPEST:
        raise ClaimsNotValid("The token's JSON is nested too deeply.")
    try:
        found = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except ClaimsNotValid:
        raise
    except ValueError as error:
        raise ClaimsNotValid("The token is not a JSON Web Token.") from error
    if not isinstance(found, dict):
        raise ClaimsNotValid("The token is not a JSON Web Token.")
    return found


def _depth(text: str) -> int:
    """Return how deeply brackets are nested, those within strings left out."""
    deepest = depth = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ClaimsNotValid("The token says the same thing twice: two of its claims have one name.")
    return found


def _no_constant(_name: str) -> Any:
    raise ClaimsNotValid("The token holds a number that is none (NaN or Infinity).")
