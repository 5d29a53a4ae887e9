"""Find out how missing text and booleans reached the model in training: as NaN, as None or as pandas' NA.

JSON has one null for all three, and so has MLflow's example, but a model treats them as different values: an imputer
that fills NaN passes None on, and an encoder that ignores what it does not know then answers another number. A file
read by pandas has NaN, so that is the rule; encoders that learnt None, or imputers that look for it, are the exception.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from model_server.build.answers import forms_of
from model_server.bundle import InputColumn, Missing
from model_server.contract.known_row import blank
from model_server.engines.answers import without_gaps
from model_server.engines.inputs import table
from model_server.engines.native import NativeModel

Rows = list[list[Any]]
_Seen = dict[str, set[Missing]]
# parts of a fitted model to look through: pipelines have dozens, forests thousands of trees that hold no text
_MOST_PARTS = 2_000
# inputs that are asked about one by one
_MOST_ASKED = 200


def with_missing(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows) -> tuple[InputColumn, ...]:
    """Return the inputs with `missing` set for optional text and booleans: as the fitted model shows, or as it accepts."""
    if not any(_matters(column) for column in inputs):
        return inputs
    seen = what_was_seen(native.estimator, [column.name for column in inputs])
    shown = tuple(replace(column, missing=_shown(column, seen.get(column.name, set()))) for column in inputs)
    others: tuple[tuple[Missing | None, ...], ...] = ((None, "none", "na"), (None, "float", "none"))
    for text, boolean in product(*others):
        candidate = tuple(_with(column, text, boolean) for column in shown)
        if _accepts(native, candidate, samples):
            return candidate
    return shown


def as_it_takes_gaps(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows) -> tuple[InputColumn, ...]:
    """Return inputs that no signature describes, those optional that the model answers without: all at once, else each alone."""
    every = tuple(replace(column, required=False) for column in inputs)
    base = samples[0] if samples else list(blank(inputs))
    if _answers(native, every, [None] * len(inputs), base):
        return every
    if len(inputs) > _MOST_ASKED:
        return inputs
    found = list(inputs)
    for place, column in enumerate(every):
        alone = (*inputs[:place], column, *inputs[place + 1 :])
        if _answers(native, alone, [*base[:place], None, *base[place + 1 :]], base):
            found[place] = column
    return tuple(found)


def refused_without(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows) -> frozenset[str]:
    """Return optional text inputs that the model does not answer without, each alone: its graph then has to refuse too."""
    base = samples[0] if samples else list(blank(inputs))
    optional = [place for place, column in enumerate(inputs) if column.type == "string" and not column.required]
    return frozenset(
        inputs[place].name
        for place in optional[:_MOST_ASKED]
        if not _answers(native, inputs, [*base[:place], None, *base[place + 1 :]], base)
    )


def what_was_seen(estimator: Any, columns: list[str]) -> _Seen:
    """Return, by input, the kinds of missing values that encoders and imputers of a fitted model met."""
    search = _Search()
    search.through(estimator, columns)
    return search.found


def _matters(column: InputColumn) -> bool:
    return not column.required and column.type in ("string", "boolean")


def _shown(column: InputColumn, seen: set[Missing]) -> Missing:
    order: tuple[Missing, ...] = ("nan", "none", "na") if column.type == "string" else ("nan", "float", "none")
    return next((kind for kind in order if kind in seen), "nan") if _matters(column) else "nan"


def _with(column: InputColumn, text: Missing | None, boolean: Missing | None) -> InputColumn:
    wanted = {"string": text, "boolean": boolean}.get(column.type)
    return replace(column, missing=wanted) if wanted and _matters(column) else column


def _accepts(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows) -> bool:
    """Whether the model answers a row in which all that may be missing is."""
    base = samples[0] if samples else list(blank(inputs))
    row = [None if _matters(column) else value for column, value in zip(inputs, base, strict=True)]
    return _answers(native, inputs, row, base)


def _answers(native: NativeModel, inputs: tuple[InputColumn, ...], row: list[Any], base: list[Any]) -> bool:
    """Whether the model answers the row, beside one that it answers, in any form."""
    for form in forms_of(inputs):
        try:
            found = native.outputs(table(inputs, [row, base], form))
            without_gaps(np.asarray(found))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001, S112 - a library says no in its own words; the next form is the next question
            continue
        return True
    return False


class _Search:
    """A walk through the parts of a fitted model that keeps in mind which inputs reach a part."""

    def __init__(self) -> None:
        self.found: _Seen = {}
        self._known: set[int] = set()
        self._parts = 0

    def through(self, part: Any, columns: list[str]) -> None:
        """Look through a part, whatever it is."""
        if id(part) in self._known:
            return
        self._known.add(id(part))
        if isinstance(part, dict | list | tuple):
            for inner in part.values() if isinstance(part, dict) else part:
                self.through(inner, columns)
        elif hasattr(part, "get_params") and self._parts < _MOST_PARTS:
            self._parts += 1
            self._through_estimator(part, columns)

    def _through_estimator(self, part: Any, columns: list[str]) -> None:
        for kind in _looked_for(part):
            self._add(columns, kind)
        for reached, values in _learnt(part, columns):
            for kind in _kinds(values):
                self._add(reached, kind)
        routed = getattr(part, "transformers_", None) or ()
        for _, inner, chosen in routed:
            self.through(inner, _names(chosen, columns))
        for name, inner in vars(part).items():
            if not (routed and name in ("transformers", "transformers_")):
                self.through(inner, columns)

    def _add(self, columns: list[str], kind: Missing) -> None:
        for column in columns:
            self.found.setdefault(column, set()).add(kind)


def _looked_for(part: Any) -> Iterable[Missing]:
    """What an imputer or an indicator was told to look for, when that is not the ordinary NaN."""
    sought = getattr(part, "missing_values", 0)
    if sought is None:
        yield "none"
    elif type(sought).__name__ == "NAType":
        yield "na"


def _learnt(part: Any, columns: list[str]) -> Iterator[tuple[list[str], Any]]:
    """The categories an encoder learnt, by input where it has as many lists as inputs."""
    categories = getattr(part, "categories_", None)
    if not isinstance(categories, list):
        return
    for place, values in enumerate(categories):
        yield ([columns[place]] if len(categories) == len(columns) else columns), values


def _kinds(values: Any) -> Iterator[Missing]:
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    if kind == "f":
        yield "float"
    for value in values if kind == "O" else ():
        if value is None:
            yield "none"
        elif type(value).__name__ == "NAType":
            yield "na"
        elif isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN differs from itself
            yield "nan"


def _names(chosen: Any, columns: list[str]) -> list[str]:
    """The inputs a column transformer hands to one of its parts: by name, place or mask; all of them when it is unclear."""
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen) if hasattr(chosen, "__iter__") else []
    if listed and all(isinstance(entry, bool) or type(entry).__name__ == "bool" for entry in listed):
        return [name for name, taken in zip(columns, listed, strict=False) if taken]
    by_place = dict(enumerate(columns))
    names = [entry if isinstance(entry, str) else by_place.get(entry) for entry in listed]
    return [name for name in names if name] or columns
