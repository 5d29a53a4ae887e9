"""From tensors to rows: every datatype, both forms, and what is wrong with its place."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder
from model_server.contract.problems import BadInput, NotJson
from model_server.doors.infer import read_infer
from model_server.doors.rows import rows_of

NUMBERS = Decoder([InputColumn(name, "double") for name in "abc"])
WHOLE = Decoder([InputColumn("a", "long"), InputColumn("b", "long")])
MIXED = Decoder(
    [
        InputColumn("size", "double"),
        InputColumn("city", "string"),
        InputColumn("rooms", "long", required=False),
        InputColumn("photo", "binary", required=False),
    ]
)
IMAGE = Decoder([InputColumn("image", "tensor", spec={"type": "tensor", "dtype": "double", "shape": [2, 2]})])
LISTS = Decoder([InputColumn("words", "array", spec={"type": "array", "items": {"type": "string"}})])
SIZES = {"FP64": "f8", "FP32": "f4", "FP16": "f2", "INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8"}
UNSIGNED = {"UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8"}


def rows(decoder: Decoder, body: Any, length: bytes | None = None) -> list[tuple[Any, ...]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rows_of(read_infer(content, length).tensors, decoder)


def packed(*tensors: tuple[dict[str, Any], bytes]) -> tuple[bytes, bytes]:
    """Return a body with values in binary, and what its header says."""
    described = [{**tensor, "parameters": {"binary_data_size": len(content)}} for tensor, content in tensors]
    head = json.dumps({"inputs": described}).encode()
    return head + b"".join(content for _, content in tensors), str(len(head)).encode()


def texts(*values: bytes) -> bytes:
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def tensor(name: str, datatype: str, shape: list[int], data: Any = None) -> dict[str, Any]:
    found = {"name": name, "datatype": datatype, "shape": shape}
    return found if data is None else {**found, "data": data}


@pytest.mark.parametrize(("datatype", "kind"), [*SIZES.items(), *UNSIGNED.items()])
def test_any_datatype_of_numbers_is_taken_in_binary(datatype: str, kind: str) -> None:
    body = packed((tensor("x", datatype, [2, 3]), np.arange(6).astype(kind).tobytes()))
    assert rows(NUMBERS, *body) == [(0.0, 1.0, 2.0), (3.0, 4.0, 5.0)]
    assert rows(WHOLE, *packed((tensor("x", datatype, [3, 2]), np.arange(6).astype(kind).tobytes()))) == [
        (0, 1),
        (2, 3),
        (4, 5),
    ]


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]], [1.0, 2, 3.0, 4, 5, 6]])
def test_a_matrix_is_flat_or_nested(data: list[Any]) -> None:
    assert rows(NUMBERS, {"inputs": [tensor("any", "FP64", [2, 3], data)]}) == [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=30))
def test_values_are_the_same_in_json_and_in_binary(values: list[float]) -> None:
    values = values[: len(values) // 3 * 3]
    shape = [len(values) // 3, 3]
    in_json = rows(NUMBERS, {"inputs": [tensor("x", "FP64", shape, values)]})
    assert in_json == rows(NUMBERS, *packed((tensor("x", "FP64", shape), np.array(values).tobytes())))
    named = [tensor(name, "FP64", [shape[0]], values[place::3]) for place, name in enumerate("abc")]
    assert in_json == rows(NUMBERS, {"inputs": named[::-1]})


def test_texts_bytes_and_gaps_in_binary() -> None:
    body = packed(
        (tensor("city", "BYTES", [2]), texts(b"oslo", "Zürich".encode())),
        (tensor("size", "FP32", [2, 1]), np.array([1.5, 2.5], "f4").tobytes()),
        (tensor("rooms", "FP64", [2]), np.array([3, np.nan]).tobytes()),
        (tensor("photo", "BYTES", [2]), texts(b"\xff\x00", b"")),
    )
    assert rows(MIXED, *body) == [(1.5, "oslo", 3, "/wA="), (2.5, "Zürich", None, "")]


def test_inputs_that_hold_lists() -> None:
    values = list(range(8))
    assert rows(IMAGE, {"inputs": [tensor("image", "FP64", [2, 2, 2], values)]}) == [
        ([[0.0, 1.0], [2.0, 3.0]],),
        ([[4.0, 5.0], [6.0, 7.0]],),
    ]
    assert rows(LISTS, {"inputs": [tensor("words", "BYTES", [2], ['["a", "b"]', "[]"])]}) == [(["a", "b"],), ([],)]


REFUSED: dict[str, tuple[Decoder, Any, bytes | None, str, str]] = {
    "a null": (NUMBERS, {"inputs": [tensor("x", "FP64", [2, 3], [1, 2, 3, 4, 5, None])]}, None, "row 1: 'c'", "/inputs/0/data/5"),
    "too few values": (NUMBERS, {"inputs": [tensor("x", "FP64", [2, 3], [1, 2])]}, None, "asks for 6", "/inputs/0"),
    "another width": (NUMBERS, {"inputs": [tensor("x", "FP64", [1, 2], [1, 2])]}, None, "[rows, 3]", "/inputs/0"),
    "no rows": (NUMBERS, {"inputs": [tensor("x", "FP64", [0, 3], [])]}, None, "1 to 10,000 rows", ""),
    "a name twice": (NUMBERS, {"inputs": [tensor(name, "FP64", [1], [1]) for name in "abb"]}, None, "named by two", "/inputs/1"),
    "an unknown name": (NUMBERS, {"inputs": [tensor(name, "FP64", [1], [1]) for name in ("a", "b", "c", "cc")]}, None, "'cc' is not an input", "/inputs/3"),
    "an unknown datatype": (NUMBERS, {"inputs": [tensor("x", "FP99", [1, 3], [1, 2, 3])]}, None, "FP99", "/inputs/0/datatype"),
    "a huge number": (WHOLE, {"inputs": [tensor("x", "INT64", [1, 2], [1, 2**64])]}, None, "64 bits", "/inputs/0/data/1"),
    "a NaN of JSON": (NUMBERS, b'{"inputs": [{"name": "x", "shape": [1, 3], "data": [1, NaN, 3]}]}', None, "no number", "/inputs/0/data/1"),
    "ragged": (NUMBERS, {"inputs": [tensor("x", "FP64", [2, 3], [[1, 2, 3], 4])]}, None, "ragged", "/inputs/0"),
    "inputs twice": (NUMBERS, b'{"inputs": [], "inputs": []}', None, "named twice", "/inputs"),
    "an infinity": (NUMBERS, *packed((tensor("x", "FP64", [1, 3]), np.array([1, np.inf, 3]).tobytes())), "finite", "/inputs/0/data/1"),
    "no text in UTF-8": (
        MIXED,
        *packed((tensor("size", "FP64", [1]), np.ones(1).tobytes()), (tensor("city", "BYTES", [1]), texts(b"\xff"))),
        "UTF-8",
        "/inputs/1/data/0",
    ),
    "a text cut off": (
        MIXED,
        *packed((tensor("size", "FP64", [1]), np.ones(1).tobytes()), (tensor("city", "BYTES", [1]), texts(b"oslo")[:-1])),
        "ends inside",
        "/inputs/1",
    ),
    "too few bytes": (NUMBERS, *packed((tensor("x", "FP64", [1, 3]), b"1234")), "4 bytes", "/inputs/0"),
    "bytes too many": (NUMBERS, b"{}12", b"2", "2 bytes follow", ""),
    "a length that is none": (NUMBERS, b"{}", b"-1", "Inference-Header-Content-Length", ""),
    "a length beyond the body": (NUMBERS, b"{}", b"99", "Inference-Header-Content-Length", ""),
    "shared memory": (NUMBERS, {"inputs": [{**tensor("x", "FP64", [1, 3]), "parameters": {"shared_memory_region": "r"}}]}, None, "shared memory", "/inputs/0"),
    "no list": (LISTS, {"inputs": [tensor("words", "BYTES", [1], ["nonsense"])]}, None, "JSON as text", "/inputs/0/data/0"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named_with_its_place(what: str) -> None:
    decoder, body, length, says, pointer = REFUSED[what]
    with pytest.raises(BadInput) as refused:
        rows(decoder, body, length)
    assert says in str(refused.value)
    assert refused.value.problems[0].pointer == pointer


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"inputs":' + b"[" * 100_000])
def test_what_is_no_json_is_another_refusal(body: bytes) -> None:
    with pytest.raises((NotJson, BadInput)):
        rows(NUMBERS, body)


@given(st.binary(max_size=60), st.binary(max_size=4))
def test_whatever_arrives_is_read_or_refused(body: bytes, length: bytes) -> None:
    for header in (None, length, str(len(body) // 2).encode()):
        with pytest.raises((NotJson, BadInput)):
            rows(NUMBERS, body, header)
