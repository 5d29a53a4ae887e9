"""Pushed columns as rows for an online store. Whatever does not fit is refused by column, row and type; nothing is guessed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlops_platform.adapters.feast.names import EntityKey, FeatureView, Value, ValueType
from mlops_platform.adapters.feast.newest import Row
from mlops_platform.adapters.feast.values import TypeNotTaken, ValueNotValid, feast_value, moment, whole_number
from mlops_platform.features.interfaces import KeysNotValid, RowsNotValid, View

EVENT_TIME = "event_timestamp"
# a caller's clock may run ahead by this much; an event later than that would lock out every true one until then
_AHEAD = timedelta(minutes=10)
_TEXT = {ValueType.STRING, ValueType.UNKNOWN}
_BITS = {ValueType.INT32: 32, ValueType.INT64: 64}


def key_values(name: str, kind: ValueType, keys: Sequence[Any]) -> list[Value]:
    """Return a column of entity keys as Feast values. Raises KeysNotValid, which names the key."""
    if kind in _TEXT:
        return [Value(string_val=_text_key(name, key)) for key in keys]
    bits = _BITS.get(kind)
    if bits is None:
        raise KeysNotValid(f"'{name}' is of type {kind.name.lower()}, which cannot be a key here.")
    numbers = []
    for row, key in enumerate(keys):
        try:
            numbers.append(_whole_key(key, bits))
        except ValueNotValid as error:
            raise KeysNotValid(f"'{name}' is a whole number of {bits} bits; key {row}: {error}.") from error
    return [Value(int32_val=number) if bits == 32 else Value(int64_val=number) for number in numbers]  # noqa: PLR2004


def _whole_key(key: Any, bits: int) -> int:
    if not isinstance(key, int | str):
        raise ValueNotValid("a whole number is expected")
    return whole_number(key, bits)


def _text_key(name: str, key: Any) -> str:
    if not isinstance(key, str):
        raise KeysNotValid(f"'{name}' is text; put the ids in quotes.")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise KeysNotValid(f"'{name}' has a key that is no valid Unicode text.") from error
    return key


def entity_keys(
    join_keys: tuple[str, ...], types: Mapping[str, ValueType], columns: Mapping[str, Sequence[Any]]
) -> list[EntityKey]:
    """Return one key per row of the columns. Raises KeysNotValid."""
    rows = zip(*(key_values(name, types[name], columns[name]) for name in join_keys), strict=True)
    return [EntityKey(join_keys=join_keys, entity_values=row) for row in rows]


def feast_rows(
    view: View,
    definition: FeatureView,
    key_types: Mapping[str, ValueType],
    columns: Mapping[str, Sequence[Any]],
    at: datetime,
) -> list[Row]:
    """Return columns as rows of a view. A row without an event time happened now (`at`).

    Raises RowsNotValid for columns and values that do not fit, and KeysNotValid for keys.
    """
    needed = {*view.join_keys, *view.features}
    if missing := needed - columns.keys():
        raise RowsNotValid(f"The view '{view.name}' needs these columns too: {', '.join(sorted(missing))}.")
    if extra := columns.keys() - needed - {EVENT_TIME}:
        raise RowsNotValid(f"The view '{view.name}' has no columns named: {', '.join(sorted(extra))}.")
    if len({len(column) for column in columns.values()}) != 1:
        raise RowsNotValid("Every column must have the same number of entries.")
    count = len(next(iter(columns.values())))
    join_keys = tuple(view.join_keys)
    keys = entity_keys(join_keys, key_types, columns)
    features = {field.name: _feature(field.name, field.dtype, columns[field.name]) for field in definition.features}
    times = _event_times(columns.get(EVENT_TIME, [None] * count), at)
    values = (dict(zip(features, row, strict=True)) for row in zip(*features.values(), strict=True))
    return [(key, row, happened, None) for key, row, happened in zip(keys, values, times, strict=True)]


def _feature(name: str, dtype: Any, column: Sequence[Any]) -> list[Value]:
    kind = dtype.to_value_type()
    found = []
    for row, value in enumerate(column):
        try:
            found.append(feast_value(kind, value))
        except ValueNotValid as error:
            raise RowsNotValid(f"Column '{name}' is of type {dtype}; row {row}: {error}.") from error
        except TypeNotTaken as error:
            raise RowsNotValid(
                f"Column '{name}' is of type {dtype}, which cannot be pushed; bring it online by materialising the view."
            ) from error
    return found


def _event_times(column: Sequence[Any], at: datetime) -> list[datetime]:
    found = []
    for row, value in enumerate(column):
        try:
            happened = at if value is None else moment(value)
        except ValueNotValid as error:
            raise RowsNotValid(f"Column '{EVENT_TIME}', row {row}: {error}.") from error
        if happened > at + _AHEAD:
            raise RowsNotValid(
                f"Column '{EVENT_TIME}', row {row}: {happened.isoformat()} lies in the future; nothing newer could be written until then."
            )
        if happened.timestamp() <= 0:
            raise RowsNotValid(f"Column '{EVENT_TIME}', row {row}: {happened.isoformat()} lies before 1970.")
        found.append(happened)
    return found
