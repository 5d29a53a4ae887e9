"""Rows the model is known to answer: the build has asked it with these."""

import json
from typing import Any

from model_server.bundle import InputColumn
from model_server.contract.decoder import Decoder, Row
from model_server.contract.problems import BadInput
from model_server.trust.files import Files

EXAMPLE = "example.json"
_MOST = 10
_BLANK: dict[str, Any] = {
    "boolean": False,
    "string": "",
    "datetime": "1970-01-01T00:00:00",
    "binary": "",
    "long": 0,
    "integer": 0,
}


def known_rows(files: Files, inputs: tuple[InputColumn, ...]) -> list[Row]:
    """Return the bundle's first example rows, a blank one where it has none.

    Several: a model may have no answer to the first row it was logged with.
    """
    try:
        content = json.loads(files.read(EXAMPLE) or b"null")
        return Decoder(inputs).lists(content["columns"], content["rows"][:_MOST])
    except (ValueError, KeyError, TypeError, IndexError, BadInput):
        return [blank(inputs)]


def blank(inputs: tuple[InputColumn, ...]) -> Row:
    """Return a row of zeros, empty texts and first categories: what a model without an example is asked with."""
    return tuple(
        column.categories[0] if column.categories else _blank(column.spec or {"type": column.type}) for column in inputs
    )


def _blank(spec: dict[str, Any]) -> Any:
    kind = spec["type"]
    if kind == "array":
        return []
    if kind == "map":
        return {}
    if kind == "object":
        return {name: _blank(part) for name, part in spec["properties"].items() if part.get("required", True)}
    if kind == "tensor":
        values = _blank({"type": spec["dtype"]})
        for size in reversed(spec["shape"]):
            values = [values] * max(size, 1)
        return values
    return _BLANK.get(kind, 0.0)
