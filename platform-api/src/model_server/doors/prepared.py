"""Requests whose JSON was seen before: what it asks for is known, and only the binary values are new.

A client sends the same JSON before the values of every request of one shape. The short way of the commonest kind, one tensor
[rows, inputs] of FP64 for a model whose inputs are all doubles; `rows_of` reads everything else, and the same rows.
"""

import math
import struct
from functools import lru_cache
from typing import NamedTuple

from model_server.contract.decoder import Decoder, Row
from model_server.contract.problems import BadInput, NotJson
from model_server.doors.infer import Infer, read_head

# bytes of JSON and of values: more of either is worth no memory, or an array
_SHORT, _FEW = 2_048, 2_048
_DIGITS = 4


class _Plan(NamedTuple):
    request: Infer
    width: int
    values: struct.Struct


def read_prepared(body: bytes, json_bytes: bytes, decoder: Decoder) -> tuple[Infer, list[Row]] | None:
    """Return a request and its rows; None when it is not of this kind, or anything is wrong with it. Raises nothing."""
    if not json_bytes.isdigit() or len(json_bytes) > _DIGITS or (at := int(json_bytes)) > _SHORT:
        return None
    plan = _plan(decoder, body[:at])
    if plan is None or len(body) - at != plan.values.size:
        return None
    values = plan.values.unpack_from(body, at)
    if not all(map(math.isfinite, values)):
        return None
    width = plan.width
    if len(values) == width:
        return plan.request, [values]
    return plan.request, [values[start : start + width] for start in range(0, len(values), width)]


@lru_cache(maxsize=1_024)
def _plan(decoder: Decoder, content: bytes) -> _Plan | None:
    try:
        request, tensors = read_head(content)
        asked = Infer(request, [])
        plain = asked.entity_ids() is None and asked.params() is None and not request.outputs
    except (BadInput, NotJson):
        return None
    width = len(decoder.names)
    if not plain or len(tensors) != 1 or decoder.one_type != "double" or width < 2:  # noqa: PLR2004 - one input has forms of its own
        return None
    [(tensor, size)] = tensors
    fits = tensor.datatype == "FP64" and len(tensor.shape) == 2 and tensor.shape[1] == width  # noqa: PLR2004 - a matrix
    if not fits or tensor.name in decoder.names or size != tensor.size * 8 or not 0 < size <= _FEW:
        return None
    return _Plan(asked, width, struct.Struct(f"<{tensor.size}d"))
