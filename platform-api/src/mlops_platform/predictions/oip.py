"""Open Inference Protocol v2 (REST) over the same routes, models and log; errors in the protocol's own shape."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from mlops_platform import __version__
from mlops_platform.errors import NotFound, PlatformError
from mlops_platform.predictions.callers import Caller, Callers
from mlops_platform.predictions.inputs import Row
from mlops_platform.predictions.predictor import Predictor
from mlops_platform.predictions.problems import InputNotValid, PredictNotJson, PredictNotValid, RoutesUnknown
from mlops_platform.predictions.routing import RoutingTable, Target

Headers = Mapping[bytes, bytes]
# (headers, body, request id, began) -> (model name to count the request for, JSON)
Action = Callable[[Headers, bytes, str, float], Awaitable[tuple[str, bytes]]]

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


class OpenInference:
    """The protocol's paths."""

    def __init__(self, table: RoutingTable, predictor: Predictor, callers: Callers) -> None:
        self._table = table
        self._predictor = predictor
        self._callers = callers

    def resolve(self, method: str, path: str) -> tuple[str, Action]:
        """Return the path's template and what answers it. Raises NoSuchInferencePath and WrongMethod."""
        parts = path.strip("/").split("/")[1:]
        match parts:
            case []:
                return "/v2", _only("GET", method, self._server)
            case ["health", "live"]:
                return "/v2/health/live", _only("GET", method, self._live)
            case ["health", "ready"]:
                return "/v2/health/ready", _only("GET", method, self._ready)
            case ["models", name, *rest]:
                version = "latest"
                if rest[:1] == ["versions"] and len(rest) > 1:
                    version, rest = rest[1], rest[2:]
                match rest:
                    case []:
                        return "/v2/models/{name}", _only("GET", method, self._for(name, version, self._metadata))
                    case ["ready"]:
                        return "/v2/models/{name}/ready", _only(
                            "GET", method, self._for(name, version, self._model_ready)
                        )
                    case ["infer"]:
                        return "/v2/models/{name}/infer", _only("POST", method, self._for(name, version, self._infer))
        raise NoSuchInferencePath(path)

    async def _server(self, headers: Headers, _body: bytes, _request_id: str, _began: float) -> tuple[str, bytes]:
        await self._caller(headers)
        return "", orjson.dumps({"name": "mlops-platform", "version": __version__, "extensions": []})

    async def _live(self, _headers: Headers, _body: bytes, _request_id: str, _began: float) -> tuple[str, bytes]:
        return "", b'{"live":true}'

    async def _ready(self, _headers: Headers, _body: bytes, _request_id: str, _began: float) -> tuple[str, bytes]:
        if self._table.generation < 0:
            raise RoutesUnknown
        return "", b'{"ready":true}'

    def _for(self, name: str, version: str, act: Callable[[Caller, Target, bytes, float], Awaitable[bytes]]) -> Action:
        async def action(headers: Headers, body: bytes, _request_id: str, began: float) -> tuple[str, bytes]:
            caller = await self._caller(headers)
            target = self._predictor.find(caller, name, version, None, None)
            try:
                return (name if act == self._infer else ""), await act(caller, target, body, began)
            except PlatformError as error:
                error.counted_model = name if act == self._infer else ""  # type: ignore[attr-defined]
                raise

        return action

    async def _caller(self, headers: Headers) -> Caller:
        caller = self._callers.known(headers) or await self._callers.ask(headers)
        caller.require("prediction:create")
        return caller

    async def _metadata(self, _caller: Caller, target: Target, _body: bytes, _began: float) -> bytes:
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
                    {"name": column.name, "datatype": _DATATYPES[column.type], "shape": [-1]}
                    for column in described.columns
                ],
                "outputs": outputs,
            }
        )

    async def _model_ready(self, _caller: Caller, target: Target, _body: bytes, _began: float) -> bytes:
        return orjson.dumps({"name": target.live.model_name, "ready": True})

    async def _infer(self, _caller: Caller, target: Target, body: bytes, began: float) -> bytes:
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise PredictNotJson from error
        rows = _rows(request, target)
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
                "id": request.get("id") or prediction_id,
                "parameters": {"revision": target.live.revision_number, "prediction_id": prediction_id},
                "outputs": outputs,
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )


def _only(wanted: str, method: str, action: Action) -> Action:
    if method != wanted:
        raise WrongMethod(wanted)
    return action


def _rows(request: Any, target: Target) -> list[Row]:
    """Return rows from either form: one tensor [rows, columns], or one tensor [rows] (or [rows, 1]) per input."""
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or not inputs or not all(isinstance(entry, dict) for entry in inputs):
        raise PredictNotValid("'inputs' must be a list with at least one tensor.")
    columns = [column.name for column in target.description.columns]
    named = {str(entry.get("name")): _values(entry) for entry in inputs}
    if len(named) == 1 and set(named) != set(columns):
        shape, values = next(iter(named.values()))
        if len(shape) != 2 or shape[1] != len(columns):  # noqa: PLR2004 - rows and columns
            raise InputNotValid(f"The tensor must have the shape [rows, {len(columns)}]: {', '.join(columns)}.")
        table = [values[start : start + shape[1]] for start in range(0, len(values), shape[1])]
        return target.decoder.check([dict(zip(columns, row, strict=True)) for row in table])
    lengths = {len(values) for _, values in named.values()}
    if len(lengths) != 1:
        raise InputNotValid("All inputs must have the same number of rows.")
    return target.decoder.check(
        [{name: values[index] for name, (_, values) in named.items()} for index in range(lengths.pop())]
    )


def _values(entry: dict[str, Any]) -> tuple[list[int], list[Any]]:
    """Return the shape and the flat values of a tensor."""
    name, shape, data = entry.get("name"), entry.get("shape"), entry.get("data")
    if (
        not isinstance(shape, list)
        or not shape
        or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape)
    ):
        raise PredictNotValid(f"The tensor '{name}' needs a 'shape' of whole numbers.")
    if not isinstance(data, list):
        raise PredictNotValid(f"The tensor '{name}' needs 'data'.")
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise PredictNotValid(f"The data of tensor '{name}' is ragged.")
        data = [value for part in data for value in part]
    if len(data) != int(np.prod(shape)) or not data:
        raise PredictNotValid(
            f"The tensor '{name}' has {len(data)} values; its shape asks for {int(np.prod(shape))}, at least one."
        )
    return shape, data


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
