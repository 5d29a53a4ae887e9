"""The Open Inference Protocol's datatypes: how their values lie in binary data, and which one holds a model's type."""

from collections.abc import Collection
from typing import Any, Literal

from model_server.bundle import InputColumn

Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
BYTES = "BYTES"
# numpy's names, little-endian as the protocol's binary extension says
LAYOUT: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_OF_INPUT = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
}


def of_input(kind: str) -> str:
    """Return the datatype that metadata names for an input's type; any datatype whose values fit is taken."""
    return _OF_INPUT.get(kind, BYTES)


def described_input(column: InputColumn) -> dict[str, Any]:
    """Return the metadata of an input; -1 stands for the number of rows, and for a length a tensor leaves open."""
    if column.type != "tensor" or column.spec is None:
        return {"name": column.name, "datatype": of_input(column.type), "shape": [-1]}
    datatype = of_input(str(column.spec["dtype"]))
    return {"name": column.name, "datatype": datatype, "shape": [-1, *column.spec["shape"]]}


def of_values(values: Collection[Any]) -> str:
    """Return the datatype that holds all of these values."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "BOOL"
    return of_whole(values) if kinds == {int} else "FP64" if kinds <= {int, float} else BYTES


def of_whole(values: Collection[int]) -> str:
    """Return the datatype that holds all of these whole numbers; as text where there is none."""
    least, most = min(values), max(values)
    if least >= -(2**63) and most < 2**63:
        return "INT64"
    return "UINT64" if least >= 0 and most < 2**64 else BYTES
