"""What a decoder says of a request's form, in our own words."""

import difflib
import re
from collections.abc import Iterable

import msgspec

from model_server.contract.problems import BadInput, Problem, pointer

_PATH = re.compile(r"(?P<said>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"Object (?P<how>missing required|contains unknown) field `(?P<name>[^`]*)`")
_TYPE = re.compile(r"Expected `(?P<wanted>[^`]*)`(?P<bound>[^`]*?)(?:, got `(?P<got>[^`]*)`)?$")
_ENUM = re.compile(r"Invalid enum value (?P<value>.*)")
_KINDS = {
    "object": "an object",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
}


def in_own_words(error: msgspec.ValidationError, fields: Iterable[str]) -> BadInput:
    """Return what msgspec found as one problem with its JSON pointer; `fields` are the names the request may have."""
    found = _PATH.match(str(error))
    assert found is not None
    place = _place(found["path"] or "")
    said = found["said"]
    if named := _FIELD.match(said):
        name = named["name"][:200]
        where = f"{place}{pointer(name)}"
        if named["how"].startswith("missing"):
            return BadInput([Problem(where, f"'{name}' is missing")])
        return BadInput([Problem(where, f"'{name}' is not a field of this request{near(name, fields)}")])
    at = f"'{place}'" if place else "the body"
    if kind := _TYPE.match(said):
        wanted = " or ".join(_KINDS.get(word, word) for word in re.split(r" \| ", kind["wanted"]))
        got = f", not {_KINDS.get(kind['got'], kind['got'])}" if kind["got"] else ""
        return BadInput([Problem(place, f"{at} must be {wanted}{kind['bound']}{got}")])
    if (value := _ENUM.match(said)) is not None:
        return BadInput([Problem(place, f"{at} cannot be {value['value'][:200]}")])
    return BadInput([Problem(place, f"{at} does not fit: {said[:1].lower()}{said[1:]}")])


def near(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" where a known name is like this one, else nothing."""
    found = difflib.get_close_matches(name[:200], list(known), 1)
    return f"; did you mean '{found[0]}'?" if found else ""


def _place(path: str) -> str:
    """Turn `$.inputs[0].shape` into /inputs/0/shape; what msgspec leaves open ("[...]") ends it."""
    parts: list[str] = []
    for name, index in _STEP.findall(path):
        if index == "...":
            break
        parts.append(name or index)
    return pointer(*parts)
