"""Rows come in four layouts; the fast decoder and the slow explanation always say the same."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.bundle import InputColumn
from model_server.contract.decoder import MAX_ROWS, Decoder
from model_server.contract.problems import BadInput, NotJson

COLUMNS = [
    InputColumn("age", "double", required=True),
    InputColumn("visits", "long", required=True),
    InputColumn("plan type", "string", required=True),
    InputColumn("active", "boolean", required=True),
    InputColumn("née-€", "double", required=False),
]
DECODER = Decoder(COLUMNS)
GOOD = {"age": 1.5, "visits": 3, "plan type": "pro", "active": True, "née-€": None}
ROW = (1.5, 3, "pro", True, None)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
names = st.sampled_from([column.name for column in COLUMNS] + ["extra"])
# the bounds of what the fast decoder takes as a 64-bit whole number
fits = st.integers(-(2**63), 2**63 - 1)
good_rows = st.fixed_dictionaries(
    {
        "age": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        "visits": fits,
        "plan type": st.text(),
        "active": st.booleans(),
    },
    optional={"née-€": st.none() | st.floats(allow_nan=False, allow_infinity=False)},
)


def json_of(data: Any) -> bytes:
    import json

    return json.dumps(data).encode()


@given(st.lists(good_rows, min_size=1, max_size=4))
def test_every_layout_of_the_same_rows_decodes_alike(rows: list[dict[str, Any]]) -> None:
    expected = DECODER.rows(rows)
    assert DECODER.decode(json_of(rows)) == expected
    assert DECODER.decode(json_of(rows[0])) == expected[:1]
    full = [{column.name: row.get(column.name) for column in COLUMNS} for row in rows]
    assert DECODER.decode(json_of({name: [row[name] for row in full] for name in full[0]})) == expected


@given(st.dictionaries(names, scalars, max_size=6))
def test_the_fast_decoder_refuses_exactly_what_the_slow_check_refuses(row: dict[str, Any]) -> None:
    too_big = any(
        isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63
        for value in row.values()
    )
    try:
        slow = DECODER.rows([row])
    except BadInput:
        with pytest.raises(BadInput):
            DECODER.decode(json_of(row))
        return
    try:
        assert DECODER.decode(json_of(row)) == slow
    except BadInput:
        assert too_big


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"age": None}, "/age", "is null"),
        ({"age": "7"}, "/age", "must be a number"),
        ({"age": True}, "/age", "must be a number"),
        ({"age": math.nan}, "/age", "not a finite number"),
        ({"age": -math.inf}, "/age", "not a finite number"),
        ({"visits": 1.5}, "/visits", "must be a whole number"),
        ({"plan type": 3}, "/plan type", "must be text"),
        ({"active": 1}, "/active", "must be true or false"),
        ({"weather": 1}, "/weather", "is not an input"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(change: dict[str, Any], pointer: str, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        DECODER.decode(json_of({**GOOD, **change}))
    [problem] = refusal.value.problems
    assert problem.pointer == pointer
    assert words in problem.detail


def test_a_missing_input_is_named_and_an_optional_one_may_be_left_out() -> None:
    with pytest.raises(BadInput, match="'visits' is missing"):
        DECODER.decode(json_of({name: value for name, value in GOOD.items() if name != "visits"}))
    assert DECODER.decode(json_of({name: value for name, value in GOOD.items() if name != "née-€"})) == [ROW]


@pytest.mark.parametrize("body", [b"{", b"nope", b'{"age": }', b"\xff\xfe"])
def test_broken_json_is_not_json(body: bytes) -> None:
    with pytest.raises(NotJson):
        DECODER.decode(body)


@pytest.mark.parametrize(
    "data",
    [[], [1], "text", 5, {"age": [1.0], "visits": [1, 2], "plan type": ["a"], "active": [True], "née-€": [None]}],
)
def test_other_shapes_are_refused(data: Any) -> None:
    with pytest.raises(BadInput):
        DECODER.decode(json_of(data))


def test_one_request_cannot_ask_for_any_number_of_rows() -> None:
    decoder = Decoder([InputColumn("x", "double", required=True)])
    assert len(decoder.decode(json_of([{"x": 1.0}] * MAX_ROWS))) == MAX_ROWS
    with pytest.raises(BadInput, match="at once"):
        decoder.decode(json_of([{"x": 1.0}] * (MAX_ROWS + 1)))


@given(st.lists(good_rows, min_size=1, max_size=3), st.sampled_from([None, 2]), st.booleans())
def test_rows_are_logged_as_one_line_of_the_same_objects(
    rows: list[dict[str, Any]], indent: int | None, columns: bool
) -> None:
    import json

    full = [{column.name: row.get(column.name) for column in COLUMNS} for row in rows]
    data: Any = (
        {name: [row[name] for row in full] for name in full[0]} if columns else full if len(full) > 1 else full[0]
    )
    raw = json.dumps(data, indent=indent).encode()
    line = orjson.dumps({"inputs": DECODER.objects(raw, DECODER.decode(raw))})
    assert b"\n" not in line
    assert orjson.loads(line)["inputs"] == full
