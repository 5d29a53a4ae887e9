"""Open Inference Protocol v2 (REST) over the same routes, models and log; errors in the protocol's own shape."""

import math
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import Struct

from mlops_platform import __version__
from mlops_platform.errors import NotFound, PlatformError
from mlops_platform.kit.replies import Header, Reply, error_headers
from mlops_platform.predictions import schemas
from mlops_platform.predictions.callers import Caller
from mlops_platform.predictions.inputs import fitting
from mlops_platform.predictions.operations import BY_PATH, INFERENCE, Operation
from mlops_platform.predictions.predictor import Predictor
from mlops_platform.predictions.problems import InputNotValid, PredictNotJson, PredictNotValid, RoutesUnknown
from mlops_platform.predictions.replies import as_refusal, reply
from mlops_platform.predictions.routing import RoutingTable, Target
from model_server.contract.decoder import Row

_DECODER = msgspec.json.Decoder(schemas.InferRequest)

_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
}


class NoSuchInferencePath(NotFound):
    """The protocol has no such path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"The Open Inference Protocol has nothing at {path[:200]}.")


class WrongMethod(PlatformError):
    """The path answers another method."""

    status = 405
    title = "This path does not answer this method"

    def __init__(self, wanted: str) -> None:
        super().__init__(f"Use {wanted} here.")


class Outcome(NamedTuple):
    """What was answered, the path's template, and the model it counts for as a prediction (empty for none)."""

    reply: Reply
    endpoint: str
    model_name: str


class OpenInference:
    """The protocol's paths."""

    def __init__(self, table: RoutingTable, predictor: Predictor) -> None:
        self._table = table
        self._predictor = predictor
        self._about_server: dict[type[Struct], Callable[[], bytes]] = {
            schemas.ServerMetadata: self._server,
            schemas.ServerLive: self._live,
            schemas.ServerReady: self._ready,
        }
        self._about_model: dict[type[Struct], Callable[[Target, bytes, float], Awaitable[bytes]]] = {
            schemas.ModelMetadata: self._metadata,
            schemas.ModelReady: self._model_ready,
            schemas.InferAnswer: self._infer,
        }

    async def answer(
        self,
        method: str,
        path: str,
        who: Callable[[], Awaitable[Caller]],
        read: Callable[[], Awaitable[bytes]],
        request_id: str,
    ) -> Outcome:
        """Answer one request; errors in the protocol's own form. Raises nothing.

        `who` gives the caller and `read` the body, in this order: the body of somebody unknown is not read.
        """
        began = time.perf_counter()
        endpoint, model_name = INFERENCE, ""
        try:
            operation, name, version = resolve(method, path)
            endpoint = operation.path
            caller = None
            if not operation.public:
                caller = await who()
                caller.require("prediction:create")
            body = await read()
            named: tuple[Header, ...] = ()
            if operation.answer in self._about_server:
                content = self._about_server[operation.answer]()
            else:
                assert caller is not None
                target = self._predictor.find(caller, name, version, None, None)
                model_name = name if operation.answer is schemas.InferAnswer else ""
                content = await self._about_model[operation.answer](target, body, began)
                named = ((b"x-mlops-approval", target.approval),)
            return Outcome(reply(200, content, request_id, *named), endpoint, model_name)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            refusal = as_refusal(error)
            content = orjson.dumps({"error": refusal.detail})
            return Outcome(reply(refusal.status, content, request_id, *error_headers(refusal)), endpoint, model_name)

    def _server(self) -> bytes:
        return orjson.dumps({"name": "mlops-platform", "version": __version__, "extensions": []})

    def _live(self) -> bytes:
        return b'{"live":true}'

    def _ready(self) -> bytes:
        if self._table.generation < 0:
            raise RoutesUnknown
        return b'{"ready":true}'

    async def _metadata(self, target: Target, _body: bytes, _began: float) -> bytes:
        described = target.description
        answer = described.answer
        outputs: list[dict[str, Any]] = [
            {"name": "prediction", "datatype": answer.datatype or "BYTES", "shape": [-1, *(answer.shape or ())]}
        ]
        if described.labels:
            outputs.append({"name": "label", "datatype": _label_type(described.labels), "shape": [-1]})
        return orjson.dumps(
            {
                "name": target.live.model_name,
                "versions": [str(version) for version in self._table.models[target.live.model_name].live_versions()],
                "platform": "onnx" if target.onnx else described.flavor,
                "inputs": [
                    {"name": column.name, "datatype": _DATATYPES.get(column.type, "BYTES"), "shape": [-1]}
                    for column in described.columns
                ],
                "outputs": outputs,
                "properties": _properties(target),
            }
        )

    async def _model_ready(self, target: Target, _body: bytes, _began: float) -> bytes:
        return orjson.dumps({"name": target.live.model_name, "ready": True})

    async def _infer(self, target: Target, body: bytes, began: float) -> bytes:
        try:
            request = _DECODER.decode(body)
            rows = _rows(request, target)
        except msgspec.ValidationError as error:
            raise PredictNotValid(f"{error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError, orjson.JSONDecodeError) as error:
            raise PredictNotJson from error
        predictions, labels = await self._predictor.compute(target, rows)
        prediction_id = self._predictor.next_id()
        outputs = [_tensor("prediction", predictions, target.description.answer.datatype)]
        if labels is not None:
            outputs.append({"name": "label", "datatype": _label_type(labels), "shape": [len(labels)], "data": labels})
        self._predictor.keep(target, prediction_id, rows, b"", predictions, None, began)
        return orjson.dumps(
            {
                "model_name": target.live.model_name,
                "model_version": str(target.live.version),
                "id": request.id or prediction_id,
                "parameters": {"revision": target.live.revision_number, "prediction_id": prediction_id},
                "outputs": outputs,
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )


def _properties(target: Target) -> dict[str, str]:
    """Return what metadata says of the approval: the protocol's own map of texts."""
    found = {"approval": target.approval.decode()}
    if target.statement is not None:
        found |= {"statement": target.statement.digest, "valid_until": target.statement.valid_until.isoformat()}
    return found


def resolve(method: str, path: str) -> tuple[Operation, str, str]:
    """Return the operation of a path, the model and the version it names. Raises NoSuchInferencePath and WrongMethod."""
    template = path.strip("/").split("/")
    name, version = "", "latest"
    match template:
        case [_, "models", name, "versions", version, *_]:
            template[2], template[4] = "{model_name}", "{model_version}"
        case [_, "models", name, *_]:
            template[2] = "{model_name}"
    operation = BY_PATH.get("/" + "/".join(template))
    if operation is None:
        raise NoSuchInferencePath(path)
    if method != operation.method:
        raise WrongMethod(operation.method)
    return operation, name, version


def _rows(request: schemas.InferRequest, target: Target) -> list[Row]:
    """Return rows from either form: one tensor [rows, columns], or one tensor [rows] (or [rows, 1]) per input."""
    columns = [column.name for column in target.description.columns]
    named = {tensor.name: (tensor.shape, _values(tensor)) for tensor in request.inputs}
    if len(named) != len(request.inputs):
        raise PredictNotValid("Two tensors have the same name.")
    if len(named) == 1 and set(named) != set(columns):
        shape, values = next(iter(named.values()))
        if len(shape) != 2 or shape[1] != len(columns):  # noqa: PLR2004 - rows and columns
            raise InputNotValid(f"The tensor must have the shape [rows, {len(columns)}]: {', '.join(columns)}.")
        table = [values[start : start + shape[1]] for start in range(0, len(values), shape[1])]
        return fitting(lambda: target.decoder.lists(columns, table), "/inputs")
    return fitting(lambda: target.decoder.table({name: values for name, (_, values) in named.items()}), "/inputs")


def _values(tensor: schemas.InferTensor) -> list[Any]:
    """Return the flat values of a tensor."""
    data = orjson.loads(memoryview(tensor.data))
    if not isinstance(data, list):
        raise PredictNotValid(f"The data of tensor '{tensor.name}' must be a list.")
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise PredictNotValid(f"The data of tensor '{tensor.name}' is ragged.")
        data = [value for part in data for value in part]
    wanted = math.prod(tensor.shape)
    if len(data) != wanted or not data:
        raise PredictNotValid(
            f"The tensor '{tensor.name}' has {len(data)} values; its shape asks for {wanted}, at least one."
        )
    return data


def _tensor(name: str, predictions: list[Any], datatype: str | None) -> dict[str, Any]:
    """Return checked answers, one a row, as a tensor [rows, ...]; what an older bundle does not state their values tell."""
    shape, values = [len(predictions)], predictions
    while values and isinstance(values[0], list):
        shape.append(len(values[0]))
        values = [value for part in values for value in part]
    datatype = datatype or _label_type(values)
    if datatype == "BYTES":
        values = [str(value) for value in values]
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def _label_type(labels: Iterable[Any]) -> str:
    kinds = {type(label) for label in labels}
    return "BOOL" if kinds == {bool} else "INT64" if kinds == {int} else "FP64" if kinds <= {int, float} else "BYTES"
