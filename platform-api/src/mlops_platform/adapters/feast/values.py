"""Values on the wire and as Feast stores them: JSON in, JSON out, for every type a feature can have.

Bytes are base64 text, times RFC 3339 text or whole seconds since 1970 (and whole seconds when read), decimals and UUIDs
text, sets lists without repetition. Types without a form in JSON that is the same on the way back are refused by name.
"""

import base64
import binascii
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from mlops_platform.adapters.feast.names import Value, ValueType, feast_value_type_to_python_type

_FLOAT_LIMIT = 3.4028235677973366e38
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
# stored, and out of the range of seconds that a time can have on the way back
_LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


class ValueNotValid(ValueError):
    """The value does not fit the type; the text says what is expected."""


class TypeNotTaken(Exception):
    """No value of this type can be given as JSON."""


def feast_value(kind: ValueType, value: Any) -> Value:
    """Return a JSON value as Feast stores it; null is a value that is empty. Raises ValueNotValid and TypeNotTaken."""
    one, many = _PARSERS.get(kind), _COLLECTIONS.get(kind)
    if one is None and many is None:
        raise TypeNotTaken
    if value is None:
        return Value()
    if one is not None:
        field, parse = one
        parsed = parse(value)
        # not a number is Feast's null
        return Value() if parsed is None else Value(**{field: parsed})
    assert many is not None
    field, parse, unique = many
    return _collection(field, parse, value, unique=unique)


def json_value(value: Value) -> Any:
    """Return a stored value as JSON can carry it; None for null."""
    kind = value.WhichOneof("val")
    if kind is None or kind == "null_val":
        return None
    content = getattr(value, kind)
    if kind in _PLAIN:
        return content
    if kind in _PLAIN_LISTS:
        return list(content.val)
    if kind.startswith("unix_timestamp"):
        # a set of seconds
        return sorted(content.val)
    if kind in {"json_val", "decimal_val", "uuid_val", "time_uuid_val"}:
        return feast_value_type_to_python_type(value) if kind == "json_val" else content
    return _carried(feast_value_type_to_python_type(value))


def _collection(field: str, parse: Callable[[Any], Any], value: Any, *, unique: bool) -> Value:
    if not isinstance(value, list):
        raise ValueNotValid("a list is expected")
    parsed = []
    for position, element in enumerate(value):
        entry = None if element is None else parse(element)
        if entry is None:
            raise ValueNotValid(f"element {position} is null, and a list holds values only")
        if not unique or entry not in parsed:
            parsed.append(entry)
    found = Value()
    content = getattr(found, field)
    # an empty list is a value, not null
    content.SetInParent()
    content.val.extend(parsed)
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueNotValid("text is expected")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueNotValid("the text is no valid Unicode") from error
    return value


def whole_number(value: Any, bits: int) -> int:
    """Return a whole number, also from text, of so many bits. Raises ValueNotValid."""
    is_whole = (
        isinstance(value, int)
        or (isinstance(value, str) and _WHOLE.fullmatch(value))
        or (isinstance(value, float) and value.is_integer())
    )
    if not is_whole or isinstance(value, bool):
        raise ValueNotValid("a whole number is expected")
    number = int(value)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueNotValid(f"the number does not fit into {bits} bits")
    return number


def _real(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except (ValueError, OverflowError) as error:
        raise ValueNotValid("a number is expected") from error
    if math.isnan(number):
        if isinstance(value, float):
            return None
        raise ValueNotValid("a number is expected")
    return number


def _single(value: Any) -> float | None:
    number = _real(value)
    if number is not None and math.isfinite(number) and abs(number) > _FLOAT_LIMIT:
        raise ValueNotValid("the number does not fit into 32 bits")
    return number


def _flag(value: Any) -> bool:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise ValueNotValid("true or false is expected")


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueNotValid("base64 text is expected") from error


def moment(value: Any) -> datetime:
    """Return an RFC 3339 time; without an offset it is UTC. Raises ValueNotValid."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueNotValid("an RFC 3339 time is expected") from error


def _seconds(value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = whole_number(value, 64)
        if abs(seconds) > _LAST_SECOND:
            raise ValueNotValid("the seconds are no time in years 1 to 9999")
        return seconds
    try:
        return math.floor(moment(value).timestamp())
    except ValueNotValid as error:
        raise ValueNotValid("an RFC 3339 time or whole seconds since 1970 are expected") from error


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(_text(value)))
    except ValueError as error:
        raise ValueNotValid("a UUID is expected") from error


def _decimal(value: Any) -> str:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueNotValid("a decimal number is expected")
        return str(Decimal(str(value)))
    except InvalidOperation as error:
        raise ValueNotValid("a decimal number is expected") from error


_Parser = Callable[[Any], Any]
_PARSERS: dict[ValueType, tuple[str, _Parser]] = {
    ValueType.STRING: ("string_val", _text),
    ValueType.INT32: ("int32_val", lambda value: whole_number(value, 32)),
    ValueType.INT64: ("int64_val", lambda value: whole_number(value, 64)),
    ValueType.DOUBLE: ("double_val", _real),
    ValueType.FLOAT: ("float_val", _single),
    ValueType.BOOL: ("bool_val", _flag),
    ValueType.BYTES: ("bytes_val", _bytes),
    ValueType.PDF_BYTES: ("bytes_val", _bytes),
    ValueType.IMAGE_BYTES: ("bytes_val", _bytes),
    ValueType.UNIX_TIMESTAMP: ("unix_timestamp_val", _seconds),
    ValueType.JSON: ("json_val", _json),
    ValueType.UUID: ("uuid_val", _uuid),
    ValueType.TIME_UUID: ("time_uuid_val", _uuid),
    ValueType.DECIMAL: ("decimal_val", _decimal),
}


def _collections() -> dict[ValueType, tuple[str, _Parser, bool]]:
    found = {}
    for kind, (field, parse) in _PARSERS.items():
        for suffix, unique in (("LIST", False), ("SET", True)):
            several = ValueType.__members__.get(f"{kind.name}_{suffix}")
            if several is not None:
                found[several] = (field.replace("_val", f"_{suffix.lower()}_val"), parse, unique)
    return found


_COLLECTIONS = _collections()
# what is JSON as it is
_PLAIN = frozenset(
    {"string_val", "int32_val", "int64_val", "double_val", "float_val", "bool_val", "unix_timestamp_val"}
)
_PLAIN_LISTS = frozenset(name.replace("_val", "_list_val") for name in _PLAIN)


def _carried(content: Any) -> Any:
    """Return what Feast makes of the other types, in JSON's words."""
    if isinstance(content, bytes):
        return base64.b64encode(content).decode()
    if isinstance(content, Mapping):
        return {str(_carried(name)): _carried(entry) for name, entry in content.items()}
    if isinstance(content, set | frozenset):
        return sorted((_carried(entry) for entry in content), key=lambda entry: (str(type(entry)), entry))
    if isinstance(content, list | tuple):
        return [_carried(entry) for entry in content]
    if isinstance(content, date):
        return content.isoformat()
    return str(content) if isinstance(content, uuid.UUID | Decimal) else content
