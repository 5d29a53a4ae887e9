"""Models that add up what they are given: one for every signature, so that right answers are known without any model."""

import hashlib
import math
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ..predictions.small_bundles import bundle

TYPES = {
    "double": ("float64", TensorProto.DOUBLE, "FP64", np.float64),
    "float": ("float32", TensorProto.FLOAT, "FP32", np.float32),
    "long": ("int64", TensorProto.INT64, "INT64", np.int64),
    "integer": ("int64", TensorProto.INT64, "INT32", np.int32),
    "boolean": ("bool", TensorProto.BOOL, "BOOL", np.bool_),
    "string": ("string", TensorProto.STRING, "BYTES", np.object_),
}
_NAMES = ["age", "a b", "ünï", "a/b", "a~b", "x.y", "inputs", "data", "€", "5"]
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


class Signature(NamedTuple):
    """Names and types of the inputs, in the model's order."""

    columns: tuple[tuple[str, str], ...]

    def fits(self, row: dict[str, Any]) -> bool:
        """Say whether a model of this signature takes a row: written down apart from the code that is tested."""
        return row.keys() == dict(self.columns).keys() and all(_fits(kind, row[name]) for name, kind in self.columns)

    def answer(self, row: dict[str, Any]) -> float:
        """Return the sum of a row's numbers, added as the graph adds them."""
        total = np.float64(0)
        with np.errstate(over="ignore"):
            for name, kind in self.columns:
                if kind != "string":
                    total = total + np.float64(TYPES[kind][3](row[name]) if kind == "float" else row[name])
        return float(total)


def signatures(count: int) -> list[Signature]:
    """Return so many different signatures; the same each time."""
    chosen = random.Random(7)
    found: list[Signature] = []
    while len(found) < count:
        names = chosen.sample(_NAMES, chosen.randint(1, 5))
        kinds = [chosen.choice(list(TYPES)) for _ in names]
        # one type for all, as most models have
        kinds = [chosen.choice(["double", "float", "long", "integer"])] * len(names) if chosen.random() < 0.4 else kinds
        signature = Signature(tuple(zip(names, kinds, strict=True)))
        if signature not in found and set(kinds) != {"string"}:
            found.append(signature)
    return found


def built(signature: Signature, folder: Path) -> Path:
    """Write the bundle of a signature's model."""
    inputs = [helper.make_tensor_value_info(name, TYPES[kind][1], [None, 1]) for name, kind in signature.columns]
    nodes, total = [], ""
    for place, (name, kind) in enumerate(signature.columns):
        if kind == "string":
            continue
        nodes.append(helper.make_node("Cast", [name], [f"n{place}"], to=TensorProto.DOUBLE))
        if total:
            nodes.append(helper.make_node("Add", [total, f"n{place}"], [f"t{place}"]))
        total = f"t{place}" if total else f"n{place}"
    nodes.append(helper.make_node("Identity", [total], ["y"]))
    output = helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])
    graph = helper.make_graph(nodes, "sums", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content = bytes(model.SerializeToString())
    described = {
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "mode": "columns",
        "input": None,
        "dtype": "float64",
        "columns": {name: TYPES[kind][0] for name, kind in signature.columns},
        "value": "y",
        "label": None,
    }
    return bundle(
        folder,
        ["y"],
        content,
        inputs=[{"name": name, "type": kind} for name, kind in signature.columns],
        onnx=described,
    )


def _fits(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if kind in {"long", "integer"}:
        bits = 63 if kind == "long" else 31
        return value == int(value) and -(2**bits) <= value < 2**bits
    return abs(value) <= (_LARGEST_FLOAT if kind == "float" else float(np.finfo(np.float64).max))


_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(2**30), 2**30),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9).map(float),
    "integer": st.integers(-(2**31), 2**31 - 1) | st.integers(-9, 9).map(float),
    "boolean": st.booleans(),
    "string": st.text(max_size=8) | st.sampled_from(["null", "1", '"', "\\", "\x00", "\ud800"]),
}
_ODD = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.sampled_from([0.5, 2**31, -(2**63) - 1, 2**63, 2**64, 10**400, 1e39, 1e308, -1e308, [], {}, [1], {"a": 1}])
)


@st.composite
def asked(draw: st.DrawFn, known: list[Signature]) -> tuple[int, list[dict[str, Any]]]:
    """Draw a signature and rows for it: nine of ten values as they should be."""
    index = draw(st.integers(0, len(known) - 1))

    def value(kind: str) -> Any:
        return draw(_ODD if draw(st.integers(0, 19)) == 0 else _LIKELY[kind])

    rows = [{name: value(kind) for name, kind in known[index].columns} for _ in range(draw(st.integers(1, 4)))]
    return index, rows
