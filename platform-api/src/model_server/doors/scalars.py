"""The commonest answer, one number a row and perhaps its label, written without a look at each tensor."""

import struct
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from model_server.doors.infer import Infer
from model_server.doors.outputs import LABEL, LETTERS, PREDICTION, WHOLE, Form, fit

_FEW = 256


class _Layout(NamedTuple):
    values: struct.Struct
    described: orjson.Fragment


def written_scalars(
    envelope: dict[str, Any], form: Form, predictions: list[Any], labels: list[Any] | None, asked: Infer
) -> tuple[bytes, int | None] | None:
    """Return what `outputs` and `written` return for such an answer; None for every other, and for selected outputs."""
    if asked.wanted or form.shape != () or form.fields or len(predictions) > _FEW:
        return None
    if form.datatype in WHOLE and predictions and not fit(form.datatype, predictions):
        return None
    label = None if labels is None else form.label_datatype
    layout = _layout(form.datatype, label, len(predictions))
    if layout is None or (labels is not None and not form.labels):
        return None
    if asked.binary_output:
        text = orjson.dumps({**envelope, "outputs": layout.described})
        return text + layout.values.pack(*predictions, *(labels or ())), len(text)
    rows = [len(predictions)]
    tensors = [{"name": PREDICTION, "datatype": form.datatype, "shape": rows, "data": predictions}]
    if labels is not None:
        tensors.append({"name": LABEL, "datatype": label, "shape": rows, "data": labels})
    return orjson.dumps({**envelope, "outputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY), None


@lru_cache(maxsize=1_024)
def _layout(datatype: str | None, label: str | None, rows: int) -> _Layout | None:
    """Return how the values lie in binary and how the JSON before them describes them; None for texts and what is not stated."""
    tensors = [(PREDICTION, datatype), *([] if label is None else [(LABEL, label)])]
    letters = [LETTERS.get(kind or "") for _, kind in tensors]
    if None in letters:
        return None
    described = [
        {
            "name": name,
            "datatype": kind,
            "shape": [rows],
            "parameters": {"binary_data_size": struct.calcsize(f"<{rows}{letter}")},
        }
        for (name, kind), letter in zip(tensors, letters, strict=True)
    ]
    values = struct.Struct("<" + "".join(f"{rows}{letter}" for letter in letters))
    return _Layout(values, orjson.Fragment(orjson.dumps(described)))
