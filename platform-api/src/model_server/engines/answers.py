"""As many answers as rows, each of the shape the bundle states: counted wherever a model has answered."""

from typing import Any

import numpy as np
import numpy.typing as npt


class NotFinite(ValueError):
    """The model's answer is NaN, infinite or None: it has none to these values."""


class WrongAnswers(Exception):
    """The model did not answer every row once and in the shape stated; the message says what it did."""


def one_per_row(found: npt.NDArray[Any], rows: int, shape: tuple[int, ...] | None) -> npt.NDArray[Any]:
    """Return the answers [rows, *shape]; a shape of None leaves open how one row is answered. Raises WrongAnswers."""
    if found.ndim == 0 or len(found) != rows:
        count = "one answer" if found.ndim == 0 or len(found) == 1 else f"{len(found)} answers"
        raise WrongAnswers(f"The model gives {count} for {rows} rows.")
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


def numbers(found: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return a regressor's answers: [rows] for one target, however the library shapes them, else [rows, targets]."""
    values = np.asarray(found, dtype=np.float64)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values  # noqa: PLR2004


def _words(shape: tuple[int, ...]) -> str:
    if shape == ():
        return "one value"
    return f"{' x '.join(map(str, shape))} values"
