"""JSON values as Feast stores them: what does not fit is refused with what was expected, never stored as something else."""

import contextlib
from typing import Any

import pytest
from feast import ValueType
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.adapters.feast.values import TypeNotTaken, ValueNotValid, feast_value, json_value

REFUSED: list[tuple[ValueType, Any]] = [
    (ValueType.STRING, 5),
    (ValueType.STRING, ["a"]),
    (ValueType.STRING, "\ud800"),
    (ValueType.INT64, 2**63),
    (ValueType.INT64, 10**400),
    (ValueType.INT64, 1.5),
    (ValueType.INT64, True),
    (ValueType.INT64, "one"),
    (ValueType.INT64, float("inf")),
    (ValueType.INT64, {}),
    (ValueType.INT32, 2**31),
    (ValueType.DOUBLE, "much"),
    (ValueType.DOUBLE, "nan"),
    (ValueType.DOUBLE, True),
    (ValueType.DOUBLE, 10**400),
    (ValueType.DOUBLE, []),
    (ValueType.FLOAT, 1e39),
    (ValueType.BOOL, "yes"),
    (ValueType.BOOL, 2),
    (ValueType.BYTES, "no base64!"),
    (ValueType.BYTES, 7),
    (ValueType.UNIX_TIMESTAMP, "yesterday"),
    (ValueType.UNIX_TIMESTAMP, 10**15),
    (ValueType.UNIX_TIMESTAMP, 1.5),
    (ValueType.UNIX_TIMESTAMP, True),
    (ValueType.UUID, "6f1c"),
    (ValueType.DECIMAL, "ten"),
    (ValueType.DECIMAL, False),
    (ValueType.STRING_LIST, "abc"),
    (ValueType.STRING_LIST, ["a", None]),
    (ValueType.INT64_LIST, [1, "one"]),
    (ValueType.INT64_LIST, 5),
    (ValueType.DOUBLE_LIST, [float("nan")]),
    (ValueType.INT64_SET, {"1": 1}),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED, ids=lambda one: str(one)[:40])
def test_what_does_not_fit_is_refused(kind: ValueType, value: Any) -> None:
    with pytest.raises(ValueNotValid) as refused:
        feast_value(kind, value)
    assert any(word in str(refused.value) for word in ("expected", "fit", "holds", "valid", "years"))


@pytest.mark.parametrize("kind", ValueType)
def test_every_type_takes_a_value_or_says_that_it_takes_none(kind: ValueType) -> None:
    examples: list[Any] = ["a", 1, True, "AP/+", "2026-11-01T00:00:00Z", "6f1c1c39-52a5-4d1c-8a70-0a4e0a0b0c0d", []]
    try:
        assert json_value(feast_value(kind, None)) is None
    except TypeNotTaken:
        assert kind.name in {
            *("UNKNOWN", "NULL", "MAP", "MAP_LIST", "STRUCT", "STRUCT_LIST", "VALUE_LIST", "VALUE_SET"),
            *("SCALAR_MAP", "ZONED_TIMESTAMP"),
        }
        return
    taken = 0
    for example in examples:
        try:
            stored = feast_value(kind, example)
        except ValueNotValid:
            continue
        taken += 1
        assert feast_value(kind, json_value(stored)) == stored, "what is read can be pushed again"
    assert taken


@given(st.integers(-(2**63), 2**63 - 1))
def test_whole_numbers_are_exact(number: int) -> None:
    assert json_value(feast_value(ValueType.INT64, number)) == number
    assert json_value(feast_value(ValueType.INT64_LIST, [number, number])) == [number, number]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_taken_or_refused_for_any_type(value: Any) -> None:
    for kind in ValueType:
        with contextlib.suppress(ValueNotValid, TypeNotTaken):
            assert isinstance(feast_value(kind, value), Value)


def test_not_a_number_is_null_as_in_feast() -> None:
    assert json_value(feast_value(ValueType.DOUBLE, float("nan"))) is None
