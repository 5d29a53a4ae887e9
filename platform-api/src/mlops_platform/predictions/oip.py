"""KServe's protocols over the same routes, models and log: the Open Inference Protocol v2 and v1, and MLflow's bodies.

Errors are in the protocols' own shape, with our list of problems beside the sentence.
"""

import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from msgspec import Struct

from mlops_platform import __version__
from mlops_platform.errors import NotFound, PlatformError
from mlops_platform.kit.replies import Header, Reply, error_headers
from mlops_platform.predictions import schemas
from mlops_platform.predictions.callers import Caller
from mlops_platform.predictions.inputs import fitting
from mlops_platform.predictions.operations import BY_PATH, INFERENCE, PLAIN, Operation
from mlops_platform.predictions.predictor import Answered, Asked, Predictor
from mlops_platform.predictions.problems import PredictNotValid, RoutesUnknown
from mlops_platform.predictions.replies import as_refusal, reply
from mlops_platform.predictions.routing import RoutingTable, Target
from model_server.doors.datatypes import described_input
from model_server.doors.infer import Infer, read_infer
from model_server.doors.outputs import Form, check_wanted, described, outputs, written
from model_server.doors.plain import read_plain
from model_server.doors.prepared import read_prepared
from model_server.doors.rows import rows_of
from model_server.doors.scalars import written_scalars

# Triton's name for the length of the JSON before binary values
JSON_LENGTH = b"inference-header-content-length"
_BINARY = (b"content-type", b"application/octet-stream")


class NoSuchInferencePath(NotFound):
    """The protocol has no such path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"No protocol of this server has anything at {path[:200]}.")


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


class Call(NamedTuple):
    """One request whose caller is known and whose body was read."""

    caller: Caller
    name: str
    version: str
    body: bytes
    headers: dict[bytes, bytes]
    request_id: str
    began: float


class OpenInference:
    """The protocols' paths."""

    def __init__(self, table: RoutingTable, predictor: Predictor) -> None:
        self._table = table
        self._predictor = predictor
        self._about_server: dict[type[Struct], Callable[[], bytes]] = {
            schemas.ServerMetadata: self._server,
            schemas.ServerLive: self._live,
            schemas.ServerReady: self._ready,
        }
        self._of_model: dict[type[Struct], Callable[[Call], Awaitable[Reply]]] = {
            schemas.ModelList: self._models,
            schemas.ModelMetadata: self._metadata,
            schemas.ModelReady: self._model_ready,
            schemas.InferAnswer: self._infer,
            schemas.PlainAnswer: self._plain,
        }

    async def answer(
        self,
        method: str,
        path: str,
        headers: dict[bytes, bytes],
        who: Callable[[], Awaitable[Caller]],
        read: Callable[[], Awaitable[bytes]],
        request_id: str,
    ) -> Outcome:
        """Answer one request; errors in the protocol's own form. Raises nothing.

        `who` gives the caller and `read` the body, in this order: the body of somebody unknown is not read.
        """
        began = time.perf_counter()
        endpoint, model_name = PLAIN if path.startswith(PLAIN) else INFERENCE, ""
        try:
            operation, name, version = resolve(method, path)
            endpoint = operation.path
            caller = None
            if not operation.public:
                caller = await who()
                caller.require("prediction:create")
            body = await read()
            if operation.answer in self._about_server:
                return Outcome(reply(200, self._about_server[operation.answer](), request_id), endpoint, "")
            assert caller is not None
            model_name = name if operation.method == "POST" else ""
            version = await self._predictor.version_of(caller, name, version)
            call = Call(caller, name, version, body, headers, request_id, began)
            return Outcome(await self._of_model[operation.answer](call), endpoint, model_name)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            return Outcome(refused(error, request_id), endpoint, model_name)

    def infer_at_once(
        self,
        caller: Caller,
        name: str,
        version: str,
        body: bytes,
        headers: dict[bytes, bytes],
        request_id: str,
        began: float,
    ) -> Reply | None:
        """Answer an inference when nothing has to be waited for; None when the long way has to be taken.

        None leaves nothing behind. Raises the refusals of problems.py, and TakesLong.
        """
        caller.require("prediction:create")
        target = self._predictor.find(caller, name, version, None, None)
        request, asked = _asked(body, headers, target)
        if not asked.waits_for_nothing():
            return None
        return _inferred(request, self._predictor.at_once(asked, began), request_id)

    def _server(self) -> bytes:
        return orjson.dumps({"name": "mlops-platform", "version": __version__, "extensions": ["binary_tensor_data"]})

    def _live(self) -> bytes:
        return b'{"live":true}'

    def _ready(self) -> bytes:
        if self._table.generation < 0:
            raise RoutesUnknown
        return b'{"ready":true}'

    async def _models(self, call: Call) -> Reply:
        names = [
            name for name, routes in self._table.models.items() if call.caller.may("prediction:create", routes.tenant)
        ]
        return reply(200, orjson.dumps({"models": sorted(names)}), call.request_id)

    async def _metadata(self, call: Call) -> Reply:
        target = self._found(call)
        content = {
            "name": target.live.model_name,
            "versions": [str(version) for version in self._table.models[target.live.model_name].live_versions()],
            "platform": "onnx" if target.onnx else target.description.flavor,
            "inputs": list(map(described_input, target.description.columns)),
            "outputs": described(target.description.form),
            "properties": _properties(target),
        }
        return reply(200, orjson.dumps(content), call.request_id, _approval(target))

    async def _model_ready(self, call: Call) -> Reply:
        target = self._found(call)
        content = orjson.dumps({"name": target.live.model_name, "ready": True})
        return reply(200, content, call.request_id, _approval(target))

    async def _infer(self, call: Call) -> Reply:
        target = self._found(call)
        request, asked = _asked(call.body, call.headers, target)
        if asked.entities:
            # the same entity always meets the same revision
            asked.target = self._found(call, str(asked.entities[0]))
        return _inferred(request, await self._predictor.answer(call.caller, asked, call.began), call.request_id)

    async def _plain(self, call: Call) -> Reply:
        target = self._found(call)
        plain = fitting(lambda: read_plain(call.body), "", PredictNotValid)
        asked = Asked(
            target,
            lambda target: fitting(lambda: plain.rows(target.decoder), plain.place),
            len(plain.raw),
            plain.raw if plain.columns is None else b"",
            None,
            plain.params,
        )
        found = await self._predictor.answer(call.caller, asked, call.began)
        content = {
            "predictions": found.predictions,
            **({} if found.labels is None else {"labels": found.labels}),
            **({} if found.scores is None else {"scores": found.scores}),
            "prediction_id": found.prediction_id,
            "model_version": str(found.target.live.version),
        }
        body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        return reply(200, body, call.request_id, _approval(found.target))

    def _found(self, call: Call, sticky: str | None = None) -> Target:
        return self._predictor.find(call.caller, call.name, call.version, None, sticky)


def refused(error: Exception, request_id: str) -> Reply:
    """Return an error in the protocols' own form."""
    refusal = as_refusal(error)
    content: dict[str, Any] = {"error": refusal.detail}
    if refusal.errors:
        content["errors"] = refusal.errors
    return reply(refusal.status, orjson.dumps(content), request_id, *error_headers(refusal))


def _asked(body: bytes, headers: dict[bytes, bytes], target: Target) -> tuple[Infer, Asked]:
    """Return a v2 request, and what it asks of the revision. Raises the refusals of problems.py."""
    json_bytes = headers.get(JSON_LENGTH)
    if json_bytes is not None and (known := read_prepared(body, json_bytes, target.decoder)) is not None:
        request, rows = known
        return request, Asked(target, lambda _: rows, len(body))

    def read() -> tuple[Infer, list[str | int] | None, Any]:
        request = read_infer(body, json_bytes)
        check_wanted(request, target.description.form)
        return request, request.entity_ids(), request.params()

    request, entities, params = fitting(read, "", PredictNotValid)
    size = len(body) if request.tensors or not entities else 0
    return request, Asked(
        target,
        lambda target: fitting(lambda: rows_of(request.tensors, target.decoder), ""),
        size,
        b"",
        entities,
        params,
    )


def _inferred(request: Infer, found: Answered, request_id: str) -> Reply:
    target = found.target
    parameters = {"revision": target.live.revision_number, "prediction_id": found.prediction_id}
    envelope = {
        "model_name": target.live.model_name,
        "model_version": str(target.live.version),
        "id": request.id or found.prediction_id,
        "parameters": {**request.echo, **parameters},
    }
    content, json_bytes = _written(envelope, target.description.form, found, request)
    approval = _approval(target)
    if json_bytes is None:
        return reply(200, content, request_id, approval)
    length = (b"content-length", b"%d" % len(content))
    ids = (b"x-request-id", request_id.encode())
    return Reply(200, [_BINARY, length, (JSON_LENGTH, b"%d" % json_bytes), ids, approval], content)


def _written(envelope: dict[str, Any], form: Form, found: Answered, request: Infer) -> tuple[bytes, int | None]:
    if found.scores is None:
        short = written_scalars(envelope, form, found.predictions, found.labels, request)
        if short is not None:
            return short
    return written(envelope, outputs(form, found.predictions, found.labels, found.scores), request)


def _approval(target: Target) -> Header:
    return (b"x-mlops-approval", target.approval)


def _properties(target: Target) -> dict[str, str]:
    """Return what metadata says of the approval: the protocol's own map of texts."""
    found = {"approval": target.approval.decode()}
    if target.statement is not None:
        found |= {"statement": target.statement.digest, "valid_until": target.statement.valid_until.isoformat()}
    return found


# the same few paths are asked for again and again
@lru_cache(maxsize=4_096)
def resolve(method: str, path: str) -> tuple[Operation, str, str]:
    """Return the operation of a path, the model and the version it names. Raises NoSuchInferencePath and WrongMethod."""
    parts = path.strip("/").split("/")
    name, version = "", "latest"
    match parts:
        case [_, "models", name, "versions", version, *_]:
            name, version = _named(parts, 2, "{model_name}"), _named(parts, 4, "{model_version}")
        case [_, "models", name, *_]:
            name = _named(parts, 2, "{model_name}")
    operation = BY_PATH.get("/" + "/".join(parts))
    if operation is None:
        raise NoSuchInferencePath(path)
    if method != operation.method:
        raise WrongMethod(operation.method)
    return operation, name, version


def _named(parts: list[str], place: int, template: str) -> str:
    """Put the template in the place of a name, and return the name; v1 writes what is asked behind a colon."""
    name, colon, asked = parts[place].partition(":") if parts[0] == PLAIN[1:] else (parts[place], "", "")
    parts[place] = f"{template}{colon}{asked}"
    return name
