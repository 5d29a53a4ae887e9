"""What is read the short way is what the long way reads, and whatever is unusual takes the long way."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder
from model_server.doors.infer import read_infer
from model_server.doors.prepared import read_prepared
from model_server.doors.rows import rows_of

DECODER = Decoder([InputColumn(name, "double", True) for name in ("a", "b", "c")])
ROWS = [1.0, -2.5, 3e300, 0.0, 5.0, -0.0]


def body(values: list[float], *more: tuple[str, Any], **tensor: Any) -> tuple[bytes, bytes]:
    """Return a body of one tensor [rows, 3], and the length of its JSON; `tensor` and `more` change the JSON."""
    content = struct.pack(f"<{len(values)}d", *values)
    described: dict[str, Any] = {"name": "x", "datatype": "FP64", "shape": [len(values) // 3, 3]}
    described |= {"parameters": {"binary_data_size": len(content)}} | tensor
    head = json.dumps({"inputs": [described]} | dict(more)).encode()
    return head + content, b"%d" % len(head)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=60).filter(
        lambda v: len(v) % 3 == 0
    )
)
def test_both_ways_read_the_same_rows(values: list[float]) -> None:
    content, length = body(values, ("id", "mine"))
    found = read_prepared(content, length, DECODER)
    assert found is not None
    long = read_infer(content, length)
    assert found[1] == rows_of(long.tensors, DECODER)
    assert (found[0].id, found[0].parameters, found[0].wanted) == (long.id, long.parameters, long.wanted)


@pytest.mark.parametrize(
    "sent",
    [
        body([1.0, float("nan"), 3.0]),
        body([1.0, float("inf"), 3.0]),
        body([]),
        body(ROWS, name="a"),
        body(ROWS, datatype="INT64"),
        body(ROWS, shape=[6]),
        body(ROWS, shape=[3, 2]),
        body(ROWS, shape=[2, 3, 1]),
        body(ROWS, parameters={"binary_data_size": 40}),
        body(ROWS, parameters={"binary_data_size": 48, "shared_memory_region": "r"}),
        body(ROWS, ("outputs", [{"name": "prediction"}])),
        body(ROWS, ("parameters", {"entity_ids": "7"})),
        body(ROWS, ("parameters", {"params": "{}"})),
        body([1.0] * 300),
    ],
)
def test_what_is_unusual_takes_the_long_way(sent: tuple[bytes, bytes]) -> None:
    assert read_prepared(*sent, DECODER) is None


def test_a_body_that_is_not_as_long_as_it_says_takes_the_long_way() -> None:
    content, length = body(ROWS)
    assert read_prepared(content, length, DECODER) is not None
    for wrong in (content[:-1], content + b"\0", content[:-8]):
        assert read_prepared(wrong, length, DECODER) is None
    for wrong in (b"", b"-1", b"0", b"99999", b"1e2", b"%d" % (len(content) + 1), "²".encode()):
        assert read_prepared(content, wrong, DECODER) is None


def test_a_model_with_other_inputs_takes_the_long_way() -> None:
    content, length = body(ROWS)
    mixed = Decoder(
        [InputColumn("a", "double", True), InputColumn("b", "long", True), InputColumn("c", "double", True)]
    )
    assert read_prepared(content, length, mixed) is None
