"""Texts as a compiled graph takes them: ONNX has no missing text, so one text stands for it."""

from collections.abc import Sequence
from typing import Any

# a code point that Unicode keeps free of any character
STAND_IN = "\ufdd0"
OPTIONAL_STRING = "optional_string"


def as_texts(values: Sequence[Any], kind: str) -> Sequence[Any]:
    """Return the values of a text column as its graph takes them, by the kind in bundle.OnnxGraph.columns.

    No text that somebody sends is taken for the stand-in: one that begins like it becomes another one no encoder knows.
    Raises ValueError for a missing text where the model, and so its graph, answers none.
    """
    if kind == OPTIONAL_STRING:
        return [
            STAND_IN if value is None else STAND_IN + value if value.startswith(STAND_IN) else value for value in values
        ]
    if kind == "string" and None in values:
        raise ValueError("the text is missing")
    return values
