"""A request of the Open Inference Protocol v2, in JSON or with Triton's binary extension, as every server of ours reads it."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct, field

from model_server.contract.decoder import MAX_ROWS
from model_server.contract.problems import BadInput, Problem, pointer
from model_server.doors.datatypes import Datatype
from model_server.doors.envelope import Envelope
from model_server.doors.tensors import Tensor

MAX_TENSORS = 10_000
Size = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TensorData = Annotated[
    Raw,
    Meta(description="the values, flat or nested in row-major order", extra_json_schema={"type": "array", "items": {}}),
]
Parameters = Annotated[dict[str, Any], Meta(description="what the protocol has no place for", max_length=100)]


class InferTensor(Struct, gc=False, kw_only=True):
    """One tensor of a request. Values of any datatype are taken where they fit the model's own types.

    With the parameter `binary_data_size` its values follow the JSON as that many bytes, and it has no `data`.
    """

    name: Annotated[str, Meta(max_length=1_000)] = ""
    shape: Annotated[list[Size], Meta(min_length=1, max_length=8)]
    datatype: Datatype = "FP64"
    data: TensorData = field(default_factory=Raw)
    parameters: Parameters | None = None


class InferWanted(Struct, gc=False):
    """One output that is asked for; with the parameter `binary_data` its values follow the JSON of the answer."""

    name: Annotated[str, Meta(max_length=1_000)]
    parameters: Parameters | None = None


class InferRequest(Struct, gc=False):
    """One tensor [rows, columns], or one tensor [rows] (or [rows, 1]) per input.

    Parameters that are read: `entity_ids` (a list, or one as text) instead of inputs, `params` (an object) for models that
    declare some, `binary_data_output`. All of them come back with the answer.
    """

    inputs: Annotated[list[InferTensor], Meta(max_length=MAX_TENSORS)] = []
    outputs: Annotated[list[InferWanted], Meta(max_length=100)] | None = None
    id: Annotated[str, Meta(max_length=1_000)] | None = None
    parameters: Parameters | None = None


_REQUEST = Envelope(
    InferRequest,
    ("inputs", "outputs", "id"),
    ("inputs", "outputs", "id", "parameters", "name", "shape", "datatype", "data"),
)
_LONGEST_KEY = 500
_BINARY = "binary_data_output"
_SHARED_MEMORY = "shared_memory_region"


class Infer:
    """A request that was read: its tensors, and what else it asks for."""

    __slots__ = ("binary_output", "echo", "id", "parameters", "tensors", "wanted")

    def __init__(self, request: InferRequest, tensors: list[Tensor]) -> None:
        self.id = request.id
        self.parameters: dict[str, Any] = request.parameters or {}
        self.tensors = tensors
        self.wanted = request.outputs
        # whether every output that says nothing else follows in binary
        self.binary_output = self.parameters.get(_BINARY) is True
        # the parameters that come back with the answer
        self.echo = {name: value for name, value in self.parameters.items() if name != _BINARY}

    def params(self) -> Any:
        """Return the model's own params, None when the request has none. Raises BadInput."""
        return _from_text(self.parameters.get("params"), "params")

    def entity_ids(self) -> list[str | int] | None:
        """Return the entities whose features are meant, None when the request names none. Raises BadInput.

        Parameters of the protocol are single values, so a list may also come as JSON text.
        """
        found = self.parameters.get("entity_ids")
        if found is None:
            return None
        if isinstance(found, str) and found.lstrip().startswith("["):
            found = _from_text(found, "entity_ids")
        listed = found if isinstance(found, list) else [found]
        if not 0 < len(listed) <= MAX_ROWS or not all(map(_is_key, listed)):
            wanted = (
                f"'entity_ids' must be 1 to {MAX_ROWS:,} whole numbers, or texts of up to {_LONGEST_KEY} characters"
            )
            raise BadInput([Problem(pointer("parameters", "entity_ids"), wanted)])
        return listed


def read_infer(body: bytes, json_bytes: bytes | None = None) -> Infer:
    """Return a request. `json_bytes`: the header that says how long its JSON is, when binary values follow it.

    Raises BadInput with pointers into the body, and NotJson.
    """
    at = len(body) if json_bytes is None else _length(json_bytes, len(body))
    request, tensors = read_head(body if at == len(body) else body[:at])
    filled = []
    whole = memoryview(body)
    for tensor, size in tensors:
        if size is None:
            filled.append(tensor)
            continue
        if at + size > len(body):
            left = f"says it has {size} bytes; {len(body) - at} are left of the body"
            raise _misplaced(tensor.place, tensor.name, left)
        filled.append(Tensor(*tensor[:5], whole[at : at + size]))
        at += size
    if at != len(body):
        raise BadInput(f"{len(body) - at} bytes follow the JSON that are no tensor's; see 'binary_data_size'")
    return Infer(request, filled)


def read_head(content: bytes) -> tuple[InferRequest, list[tuple[Tensor, int | None]]]:
    """Return a request's JSON, and its tensors, each with the bytes that follow for it. Raises BadInput and NotJson."""
    request = _REQUEST.decode(content)
    tensors = [
        (Tensor(place, sent.name, sent.datatype, tuple(sent.shape), bytes(sent.data), None), _binary_size(sent, place))
        for place, sent in enumerate(request.inputs)
    ]
    return request, tensors


def _is_key(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_KEY
    return isinstance(value, int) and not isinstance(value, bool)


def _length(header: bytes, most: int) -> int:
    text = header.strip()
    if not text.isdigit() or len(text) > 10 or not 0 < int(text) <= most:  # noqa: PLR2004 - digits of a length
        raise BadInput("'Inference-Header-Content-Length' must say how many bytes of the body are its JSON")
    return int(text)


def _binary_size(sent: InferTensor, place: int) -> int | None:
    if not sent.parameters:
        return None
    if _SHARED_MEMORY in sent.parameters:
        raise _misplaced(place, sent.name, "lies in shared memory, which this server does not read; send its values")
    size = sent.parameters.get("binary_data_size")
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _misplaced(place, sent.name, "has a 'binary_data_size' that is no number of bytes")
    if sent.data:
        raise _misplaced(place, sent.name, "has both 'data' and 'binary_data_size'")
    return size


def _misplaced(place: int, name: str, detail: str) -> BadInput:
    return BadInput([Problem(pointer("inputs", place), detail, column=name or f"inputs[{place}]")])


def _from_text(value: Any, name: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput([Problem(pointer("parameters", name), f"'{name}' is text that is not JSON")]) from error
