"""The outermost JSON of a request: decoded fast, refused in our own words, no member of it named twice."""

import math
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from model_server.contract.problems import BadInput, NotJson, Problem, pointer
from model_server.contract.strict_json import read_json
from model_server.doors.words import in_own_words

Found = TypeVar("Found")


class Envelope(Generic[Found]):
    """A decoder of one kind of request. `once` are the names that stand nowhere else in a usual request."""

    def __init__(self, kind: type[Found], once: Sequence[str], fields: Sequence[str] | None = None) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._fields = kind.__struct_fields__ if fields is None else fields  # type: ignore[attr-defined]  # a struct has them
        self._once = [f'"{name}"'.encode() for name in once]

    def decode(self, body: bytes) -> Found:
        """Return the request. Raises BadInput with pointers into it, and NotJson."""
        try:
            found = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise in_own_words(error, self._fields) from error
        except RecursionError as error:
            raise NotJson("it is nested too deeply") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _not_json(body, error) from error
        if max(map(body.count, self._once)) > 1:
            # a model may have an input of such a name: only the strict reader can tell
            read_json(body)
        return found


def _not_json(body: bytes, error: Exception) -> BadInput | NotJson:
    """Return why a body cannot be decoded: the strict reader names the place, and a number that JSON does not have."""
    try:
        data = read_json(body)
    except (BadInput, NotJson) as known:
        return known
    place = _not_finite(data, "")
    return (
        NotJson(str(error))
        if place is None
        else BadInput([Problem(place, f"'{place}' is no number that JSON has (NaN, Infinity, or far too long)")])
    )


def _not_finite(data: Any, place: str) -> str | None:
    """Return the pointer of the first number that is not finite."""
    if isinstance(data, float):
        return None if math.isfinite(data) else place
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return next(
        (found for name, part in parts if (found := _not_finite(part, place + pointer(name))) is not None), None
    )
