"""Signatures of every type that MLflow has, and rows for them: most as they should be, some not."""

import base64
import random
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from .echoes import TYPES, Echo

Row = dict[str, Any]
SCALARS = ("double", "float", "long", "integer", "boolean", "string", "binary", "datetime")
_NAMES = ["age", "a b", "ünï", "a/b", "a~b", "x.y", "inputs", "data", "€", "5", "when", 'say "x"']
_DTYPES = tuple(TYPES)
_PARAMS = (
    {"name": "factor", "type": "double", "default": 1.5, "shape": None},
    {"name": "tags", "type": "string", "default": ["a"], "shape": [-1]},
    {"name": "rounds", "type": "long", "default": 3, "shape": None},
)


def echoes(count: int) -> list[Echo]:
    """Return so many different signatures; the same each time. Each type is among the first."""
    chosen = random.Random(11)
    found: list[Echo] = [
        Echo(({"name": "x", "required": required, **_spec(chosen, kind, 0)},))
        for kind in (*SCALARS, "array", "object", "map", "any")
        for required in (True, False)
    ]
    found += [
        Echo((_of_tensor("x", dtype, shape),)) for dtype in _DTYPES for shape in ([-1, 2, 2], [-1, -1], [-1, -1, -1])
    ]
    while len(found) < count:
        names = chosen.sample(_NAMES, chosen.randint(1, 4))
        if chosen.random() < 0.2:
            columns = [
                _of_tensor(name, chosen.choice(_DTYPES), [-1, *chosen.choices([1, 2, 3], k=chosen.randint(0, 3))])
                for name in names
            ]
            if all(len(column["tensor-spec"]["shape"]) == 1 for column in columns):
                continue
        else:
            columns = [
                {"name": name, "required": chosen.random() < 0.7, **_spec(chosen, _kind(chosen), 0)} for name in names
            ]
        params = _PARAMS[: chosen.randint(0, 3)] if chosen.random() < 0.3 else ()
        found.append(Echo(tuple(columns), tuple(params)))
    return found[:count]


def _of_tensor(name: str, dtype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}


def _kind(chosen: random.Random) -> str:
    return chosen.choice((*SCALARS, *SCALARS, "array", "object", "map", "any"))


def _spec(chosen: random.Random, kind: str, depth: int) -> dict[str, Any]:
    inner = chosen.choice(SCALARS) if depth > 1 else _kind(chosen)
    inner = "string" if inner == "any" else inner
    if kind == "array":
        return {"type": "array", "items": _spec(chosen, inner, depth + 1)}
    if kind == "map":
        return {"type": "map", "values": _spec(chosen, inner, depth + 1)}
    if kind == "object":
        members = {
            name: {**_spec(chosen, inner if place else "long", depth + 1), "required": place == 0}
            for place, name in enumerate(chosen.sample(_NAMES, 2))
        }
        return {"type": "object", "properties": members}
    return {"type": kind}


# --- rows

_TEXT = st.text(max_size=6) | st.sampled_from(["null", "1", '"', "\\", "[1]", "{}"])
_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9).map(float),
    "integer": st.integers(-(2**31), 2**31 - 1) | st.integers(-9, 9).map(float),
    "boolean": st.booleans(),
    "string": _TEXT.filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)),
    "binary": st.binary(max_size=6).map(lambda content: base64.b64encode(content).decode()),
    "datetime": st.datetimes(datetime.fromisoformat("1700-01-01"), datetime.fromisoformat("2200-01-01")).map(
        datetime.isoformat
    )
    | st.sampled_from(["2026-01-05", "2026-01-05T02:00:00+02:00", "2026-01-05 10:00:00.5"]),
}
_ODD = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.sampled_from(
        [0.5, 2**31, 2**63, 2**64, 10**400, 1e39, 1e308, [], {}, [1], {"a": 1}, [[1]], "2026-13-01", "\ud800"]
    )
)
_ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _LIKELY["string"],
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_LIKELY["string"], inner, max_size=2),
    max_leaves=4,
)
_LIKELY["any"] = _ANY


def _value(draw: st.DrawFn, spec: dict[str, Any]) -> Any:
    kind = spec["type"]
    odd = draw(st.integers(0, 29)) == 0
    if odd or kind in _LIKELY:
        return draw(_ODD if odd else _LIKELY[kind])
    if kind == "array":
        return [_value(draw, spec["items"]) for _ in range(draw(st.integers(0, 3)))]
    if kind == "map":
        return {draw(_LIKELY["string"]): _value(draw, spec["values"]) for _ in range(draw(st.integers(0, 2)))}
    if kind == "object":
        return {
            name: _value(draw, part)
            for name, part in spec["properties"].items()
            if part["required"] or draw(st.booleans())
        }
    return _tensor(draw, spec["tensor-spec"]["shape"][1:], TYPES[spec["tensor-spec"]["dtype"]])


def _tensor(draw: st.DrawFn, shape: list[int], kind: str) -> Any:
    if not shape:
        return draw(_LIKELY[kind])
    # of an open length, most are alike
    size = draw(st.sampled_from([2, 2, 2, 2, 2, 1, 3])) if shape[0] < 0 else shape[0]
    return [_tensor(draw, shape[1:], kind) for _ in range(size)]


@st.composite
def asked(draw: st.DrawFn, known: list[Echo]) -> tuple[int, list[Row], dict[str, Any]]:
    """Draw a signature, rows for it, and params."""
    index = draw(st.integers(0, len(known) - 1))

    def row() -> Row:
        found = {}
        for column in known[index].columns:
            optional = not column.get("required", True)
            if optional and draw(st.integers(0, 3)) == 0:
                if draw(st.booleans()):
                    found[column["name"]] = None
                continue
            found[column["name"]] = _value(draw, column)
        return found

    rows = [row() for _ in range(draw(st.integers(1, 3)))]
    params = {entry["name"]: entry["default"] for entry in known[index].params if draw(st.booleans())}
    return index, rows, params
