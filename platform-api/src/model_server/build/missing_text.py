"""Make a copy of a fitted model whose encoders and imputers know missing text by the text that stands for it in a graph.

ONNX has no missing text. What an encoder or an imputer learnt of NaN, None or NA is said again of the stand-in, so that
converters, which write texts only, write it like any other. Whether the graph then answers as the model does is proven later.
"""

import copy
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from model_server.build.tree_ensemble import NotCompilable
from model_server.engines.texts import STAND_IN

# parts of a fitted model to look through, as in build/missing.py
_MOST_PARTS = 2_000


class _Written(float):
    """A NaN, as encoders and their converters know it, that is written into a graph as a text."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Return a NaN of this text."""
        made = super().__new__(cls, "nan")
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@dataclass
class StandIn:
    """A model to convert in the place of another. `codes` has, by the text written for it, what an ordinal encoder answers."""

    estimator: Any
    codes: dict[str, float] = field(default_factory=dict)

    def settle(self, model: Any) -> None:
        """Put the stand-in and the encoder's own answer to what is missing where the converted graph has a written text.

        Raises NotCompilable for an encoder that was written with whole numbers: what is missing is often encoded as NaN.
        """
        from onnx import helper

        for node in model.graph.node:
            keys = next((attribute for attribute in node.attribute if attribute.name == "keys_strings"), None)
            if keys is None:
                continue
            for place, key in enumerate(keys.strings):
                if (code := self.codes.get(key.decode())) is None:
                    continue
                values = next((entry for entry in node.attribute if entry.name == "values_floats"), None)
                if values is None:
                    raise NotCompilable("an encoder's graph has whole numbers only, and missing text has none")
                keys.strings[place] = STAND_IN.encode()
                changed = [*values.floats[:place], code, *values.floats[place + 1 :]]
                node.attribute.remove(values)
                node.attribute.append(helper.make_attribute("values_floats", changed))


def with_stand_in(estimator: Any) -> StandIn:
    """Return a changed copy. Raises NotCompilable when a text column learnt more than one kind of missing text."""
    found = StandIn(copy.deepcopy(estimator))
    waiting: list[Any] = [found.estimator]
    known: set[int] = set()
    parts = 0
    while waiting:
        part = waiting.pop()
        if id(part) in known:
            continue
        known.add(id(part))
        if isinstance(part, dict | list | tuple):
            waiting += part.values() if isinstance(part, dict) else part
        elif hasattr(part, "get_params") and parts < _MOST_PARTS:
            parts += 1
            _change(part, found)
            waiting += vars(part).values()
    return found


def _change(part: Any, found: StandIn) -> None:
    if isinstance(categories := getattr(part, "categories_", None), list):
        text = STAND_IN
        ordinal = hasattr(part, "encoded_missing_value")
        if ordinal:
            text = f"{STAND_IN}{len(found.codes)}"
            found.codes[text] = float(part.encoded_missing_value)
        part.categories_ = [_written(values, text) for values in categories]
        if ordinal and getattr(part, "unknown_value", None) is not None:
            # its converter writes whole numbers otherwise, and what is missing is often encoded as NaN
            part.unknown_value = float(part.unknown_value)
    if getattr(getattr(part, "statistics_", None), "dtype", np.dtype(float)).kind == "O" and _is_missing(
        part.missing_values
    ):
        part.missing_values = STAND_IN


def _written(values: Any, text: str) -> Any:
    if getattr(getattr(values, "dtype", None), "kind", "") != "O":
        return values
    missing = [place for place, value in enumerate(values) if _is_missing(value)]
    if len(missing) > 1:
        raise NotCompilable("an encoder learnt several kinds of missing text (NaN, None), and JSON has one null")
    changed = np.array(values, dtype=object)
    for place in missing:
        changed[place] = _Written(text)
    return changed


def _is_missing(value: Any) -> bool:
    # NaN differs from itself; NA answers no comparison
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)  # noqa: PLR0124
