"""Read JSON as strictly as its standard: no member twice, no number that Python alone could hold.

`json` of the standard library is used because it is the only reader that shows repeated members (`object_pairs_hook`) and
accepts NaN, so that the place of one can be named; orjson and msgspec keep the last member without a word.
"""

import json
import math
from typing import Any

import msgspec

from model_server.contract.problems import BadInput, NotJson, Problem, pointer

# 10 ** 400 is no number any model takes; Python itself refuses to read more than 4,300 digits
_MOST_DIGITS = 400


def read_json(raw: bytes | bytearray | memoryview) -> Any:
    """Return the data. Raises NotJson, and BadInput when an object names a member twice.

    NaN, Infinity and numbers of more than 400 digits come back as floats that are not finite.
    """
    try:
        return json.loads(bytes(raw), object_pairs_hook=_unique, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise NotJson(f"the text is not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise NotJson("it is nested too deeply") from error


def read_any(raw: bytes | bytearray | memoryview) -> Any:
    """Return the data of usual JSON fast; whatever else there is, `read_json` judges. Raises what that raises.

    By msgspec: orjson would make a float, and so another number, of a whole number beyond 64 bits.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return read_json(raw)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadInput([Problem(pointer(name), "is named twice in one object", column=name)])
            seen.add(name)
    return found


def _whole(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else -math.inf if text.startswith("-") else math.inf
