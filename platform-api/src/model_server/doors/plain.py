"""Bodies without tensors: KServe's v1 protocol, and those that MLflow's scoring server takes."""

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct, field

from model_server.contract.decoder import Decoder, Row
from model_server.contract.problems import BadInput
from model_server.contract.strict_json import read_json
from model_server.contract.values import NESTED
from model_server.doors.envelope import Envelope

_ROWS = ("instances", "inputs", "dataframe_split", "dataframe_records")


class Split(Struct, forbid_unknown_fields=True):
    """A pandas data frame as `to_dict(orient="split")` gives it; `index` is not read."""

    data: Raw
    columns: list[str | int | float] | None = None
    index: Raw = field(default_factory=Raw)


class PlainRequest(Struct, forbid_unknown_fields=True):
    """Rows under exactly one name: instances (KServe v1) or inputs, dataframe_split, dataframe_records (MLflow)."""

    instances: Raw = field(default_factory=Raw)
    inputs: Raw = field(default_factory=Raw)
    dataframe_split: Split | None = None
    dataframe_records: Raw = field(default_factory=Raw)
    params: Raw = field(default_factory=Raw)
    # MLflow and TensorFlow Serving write it; a model of ours has one signature
    signature_name: str | None = None


_REQUEST = Envelope(PlainRequest, _ROWS, (*PlainRequest.__struct_fields__, *Split.__struct_fields__))


class Plain(NamedTuple):
    """What a body says: rows as JSON (with the names of their columns when they came as lists), and the model's params."""

    place: str
    raw: bytes
    columns: list[str] | None
    params: Any

    def rows(self, decoder: Decoder) -> list[Row]:
        """Return the rows of one model. Raises BadInput and NotJson."""
        # a frame's row is a list of values, also where the only value is a list itself
        is_list = len(decoder.columns) == 1 and decoder.one_type in NESTED
        if self.columns is None or (self.columns == list(decoder.names) and not is_list):
            return decoder.decode(self.raw)
        data = read_json(self.raw)
        if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
            raise BadInput("'data' must be a list of rows, each a list of values")
        return decoder.lists(self.columns, data)


def read_plain(body: bytes) -> Plain:
    """Return what a body says; a bare list is rows as well. Raises BadInput and NotJson."""
    if body.lstrip()[:1] == b"[":
        return Plain("", body, None, None)
    request = _REQUEST.decode(body)
    given = [name for name in _ROWS if getattr(request, name)]
    if len(given) != 1:
        raise BadInput(f"send rows under one of {', '.join(_ROWS)}, not {' and '.join(given) or 'none of them'}")
    params = msgspec.json.decode(request.params) if request.params else None
    split = request.dataframe_split
    if split is not None:
        columns = None if split.columns is None else [str(name) for name in split.columns]
        return Plain("/dataframe_split/data", bytes(split.data), columns, params)
    [name] = given
    return Plain(f"/{name}", bytes(getattr(request, name)), None, params)
