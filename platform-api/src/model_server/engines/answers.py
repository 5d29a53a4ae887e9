"""As many answers as rows, each of the shape the bundle states: counted wherever a model has answered."""

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt


class NotFinite(ValueError):
    """The model's answer is NaN, infinite or None: it has none to these values."""


class WrongAnswers(Exception):
    """The model did not answer every row once and in the shape stated; the message says what it did."""


class NotOnePerRow(WrongAnswers):
    """Not every row has an answer of its own."""


def one_per_row(found: npt.NDArray[Any], rows: int, shape: tuple[int, ...] | None) -> npt.NDArray[Any]:
    """Return the answers [rows, *shape]; a shape of None leaves open how one row is answered. Raises WrongAnswers."""
    if found.ndim == 0 or len(found) != rows:
        count = "one answer" if found.ndim == 0 or len(found) == 1 else f"{len(found)} answers"
        raise NotOnePerRow(f"The model gives {count} for {rows} rows.")
    if shape is not None and found.shape[1:] != shape:
        raise WrongAnswers(f"The model answers a row with {_words(found.shape[1:])}, where {_words(shape)} is stated.")
    return found


def without_gaps(found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the answers when each is one. Raises NotFinite for NaN, infinity and None.

    JSON has none of them: they would arrive as null and be taken for an answer.
    """
    if found.dtype.kind == "f":
        whole = bool(np.isfinite(found).all())
    elif found.dtype.kind == "O":
        whole = all(value is not None and value == value for value in found.ravel())  # noqa: PLR0124 - NaN differs from itself
    else:
        whole = True
    if not whole:
        raise NotFinite("its answer is missing or no finite number")
    return found


def as_json(found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what a model answers as JSON has it: dates as ISO 8601, decimals as numbers, the rest as it is.

    Raises WrongAnswers for what JSON has no word for, and NotFinite for text and whole numbers that are none in it.
    """
    if found.dtype.kind in "biuf" or (found.dtype.kind == "U" and "".join(found.ravel().tolist()).isascii()):
        return found
    if found.dtype.kind == "M":
        found = found.astype("datetime64[us]").astype(object)
    if found.dtype.kind not in "OU":
        raise WrongAnswers(f"The model answers with {_NO_JSON.get(found.dtype.kind, str(found.dtype))}.")
    plain = np.empty(found.shape, dtype=object)
    for place in np.ndindex(found.shape):
        plain[place] = _leaf(found[place])
    return plain


_NO_JSON = {
    "m": "spans of time, which JSON does not have; let it answer with their seconds",
    "c": "complex numbers, which JSON does not have; let it answer with two numbers",
    "S": "bytes, which JSON does not have; let it answer with text, base64 for instance",
}


def _leaf(value: Any) -> Any:
    """Return one answer, to its leaves. Raises WrongAnswers and NotFinite."""
    if isinstance(value, dict):
        return {str(name): _leaf(part) for name, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_leaf(part) for part in value]
    if isinstance(value, np.datetime64):
        # its nanoseconds would be a number
        value = value.astype("datetime64[us]")
    if isinstance(value, np.generic) and not isinstance(value, np.timedelta64):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    say = next((say for kinds, say in _SAID if isinstance(value, kinds)), None)
    if say is None:
        raise WrongAnswers(f"The model answers with {_named(value)}.")
    return say(value)


def _named(value: Any) -> str:
    for kinds, letter in ((dt.timedelta | np.timedelta64, "m"), (complex, "c"), (bytes | bytearray, "S")):
        if isinstance(value, kinds):
            return _NO_JSON[letter]
    return f"a {type(value).__name__}, which JSON does not have"


def _text(value: str) -> str:
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise NotFinite("its answer is text with half a character")
    return value


def _whole(value: int) -> int:
    if not -(2**63) <= value < 2**64:
        raise NotFinite("its answer is a whole number of more than 64 bits")
    return value


_SAID: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (bool | float, lambda value: value),
    (str, _text),
    (int, _whole),
    (decimal.Decimal, float),
    (dt.date | dt.time, lambda value: value.isoformat()),
)


def numbers(found: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return a regressor's answers: [rows] for one target, however the library shapes them, else [rows, targets]."""
    values = np.asarray(found, dtype=np.float64)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values  # noqa: PLR2004


def _words(shape: tuple[int, ...]) -> str:
    if shape == ():
        return "one value"
    return f"{' x '.join(map(str, shape))} values"
