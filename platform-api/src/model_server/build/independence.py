"""Does a row's answer depend on the rows beside it? Measured, because rows of different callers may only then share a call."""

import itertools
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.build.parity import VALUE_TOLERANCE, proof_rows
from model_server.bundle import MOST_JOINED, Form, InputColumn
from model_server.engines.answers import one_per_row, without_gaps
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel
from model_server.joining.may_join import Joining, has_open_axis

Rows = list[list[Any]]
_SEED = 20_261_127
# fewer say too little; a model that takes long is asked no more than these
_LEAST, _SECONDS = 8, 3.0
_REFUSED = 4


@dataclass(frozen=True)
class Independence:
    """`rows` were answered alike alone, together and in another order; 0 when they were not, and why stands in the sentence."""

    rows: int
    sentence: str
    largest_difference: float | None = None


class _Differs(Exception):
    """The message says how a row's answer depends on others."""


def measure(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows, form: Form) -> Independence:
    """Ask the model for rows alone, together and in another order. Raises MemoryError only."""
    if has_open_axis(inputs):
        return Independence(0, "rows may have different lengths, so each request is answered alone")

    def ask(rows: Rows) -> list[Any]:
        return _answers(native, table(inputs, rows, form), len(rows))

    rows, alone, refused = _asked_alone(ask, _candidates(inputs, samples))
    if len(rows) < _LEAST:
        return Independence(
            0, f"only {len(rows)} different rows are answered: too few to measure whether rows are independent"
        )
    try:
        largest = _compared(ask, rows, alone, refused[:_REFUSED])
    except MemoryError:
        raise
    except _Differs as found:
        return Independence(0, f"{found}: each request is answered alone")
    except Exception as error:  # noqa: BLE001 - libraries raise anything, and then nothing is proven
        reason = (str(error).splitlines() or [""])[0][:160]
        return Independence(0, f"rows that are answered alone are not together ({type(error).__name__}: {reason})")
    exactly = f"within {largest:.2g}" if largest else "bit for bit"
    sentence = f"{len(rows)} rows are answered alike alone, together and in another order, {exactly}"
    return Independence(len(rows), sentence, largest)


def _compared(ask: Any, rows: Rows, alone: list[Any], refused: Rows) -> float:
    """Return the largest difference to the answers alone. Raises _Differs, and what the model raises."""
    order = np.random.default_rng(_SEED).permutation(len(rows)).tolist()
    half = len(order) // 2
    largest = 0.0
    # the last ones alone once more: a model may answer otherwise each time
    for part in (sorted(order), order[::-1], order[:half], order[half:], order[:2], order[:1], order[-1:]):
        for place, answer in zip(part, ask([rows[place] for place in part]), strict=True):
            largest = max(largest, _difference(answer, alone[place]))
    if any(_is_answered(ask, [rows[0], row]) for row in refused):
        raise _Differs("a row that is refused alone is answered beside another one")
    return largest


def _candidates(inputs: tuple[InputColumn, ...], samples: Rows) -> Rows:
    """Different rows of a proof, samples first: at most as many as are joined later."""
    may = Joining(MOST_JOINED, inputs, ()).may
    base, more = samples[: MOST_JOINED // 4], proof_rows(inputs, samples)
    mixed = [more[place] for place in np.random.default_rng(_SEED).permutation(len(more)).tolist()]
    different = {repr(row): row for row in (*base, *mixed) if may([tuple(row)], None)}
    return list(itertools.islice(different.values(), MOST_JOINED))


def _asked_alone(ask: Any, rows: Rows) -> tuple[Rows, list[Any], Rows]:
    answered: Rows = []
    answers: list[Any] = []
    refused: Rows = []
    began = time.monotonic()
    for row in rows:
        if len(answered) >= _LEAST and time.monotonic() - began > _SECONDS:
            break
        try:
            [answer] = ask([row])
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - a row that is refused; what it is worth is asked later
            refused.append(row)
        else:
            answered.append(row)
            answers.append(answer)
    return answered, answers, refused


def _answers(native: NativeModel, data: Any, count: int) -> list[Any]:
    """Return what every row is answered with: values, and label and scores where there are some."""
    parts = [without_gaps(one_per_row(np.asarray(native.outputs(data)), count, None)).tolist()]
    if native.labels:
        parts.append(one_per_row(native.classes(data), count, ()).tolist())
    if native.scoring is not None:
        parts.append(without_gaps(one_per_row(native.scores(data), count, None)).tolist())
    return list(zip(*parts, strict=True))


def _is_answered(ask: Any, rows: Rows) -> bool:
    try:
        ask(rows)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - it is refused
        return False
    return True


def _difference(found: Any, expected: Any) -> float:
    """Return the largest difference of two answers, relative above 1. Raises _Differs beyond what parity allows."""
    if isinstance(expected, dict):
        found, expected = list(found.items()), list(expected.items())
    if isinstance(expected, list | tuple):
        if len(found) != len(expected):
            raise _Differs("a row is answered in another shape beside others")
        return max((_difference(one, other) for one, other in zip(found, expected, strict=True)), default=0.0)
    if found == expected:
        return 0.0
    if not isinstance(expected, float) or not isinstance(found, float) or not math.isfinite(found - expected):
        raise _Differs("a row is answered otherwise beside others, or each time")
    difference = abs(found - expected) / max(1.0, abs(expected))
    if difference > VALUE_TOLERANCE:
        raise _Differs(f"a row is answered otherwise beside others, or each time (difference {difference:.2g})")
    return difference
