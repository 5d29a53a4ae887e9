"""The model server's HTTP face: one ASGI application for one model.

Models run in a worker thread, so that health answers while an explanation takes its time. Explanations run one at a
time: each uses a whole core.
"""

import functools
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import orjson

from model_server.contract.problems import BadInput, ModelRefuses
from model_server.engines.answers import WrongAnswers
from model_server.explain.explainer import NoBackground, NotAdditive, NotExplainable
from model_server.refusals import Refused
from model_server.serve import protocols
from model_server.serve.metrics import CONTENT_TYPE, ServerMetrics
from model_server.serve.served_model import ServedModel

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Response = tuple[int, dict[str, Any]]
Handler = Callable[[Any], Awaitable[Response]]

MAX_BODY_BYTES = 16_000_000
_SITUATIONS: dict[type[Exception], tuple[int, str]] = {
    ModelRefuses: (422, "model_refuses"),
    BadInput: (422, "bad_input"),
    NoBackground: (409, "no_background"),
    NotExplainable: (409, "not_explainable"),
    NotAdditive: (500, "not_additive"),
    WrongAnswers: (500, "wrong_answers"),
}
logger = logging.getLogger("model_server")


class ModelServerApp:
    """ASGI application. Errors are {"error": sentence, "reason": code}: 400, 404, 405, 409, 413, 422, 500."""

    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._metrics = ServerMetrics(model.bundle.model_name)
        name = model.bundle.model_name
        version = f"/v2/models/{name}/versions/{model.bundle.model_version}"
        named = model.statement.names_approval.encode() if model.statement else b"trial"
        self._approval = ((b"x-mlops-approval", named),)
        self._threads = {"predict": anyio.CapacityLimiter(2), "explain": anyio.CapacityLimiter(1)}
        self._reads: dict[str, dict[str, Any]] = {
            "/health/live": {"status": "live"},
            "/health/ready": {"status": "ready", "digest": model.bundle.digest},
            "/v2": {"name": "model_server", "version": "1", "extensions": []},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": True},
            f"/v1/models/{name}": {"name": name, "ready": True},
        }
        for base in (f"/v2/models/{name}", version):
            self._reads[base] = protocols.v2_metadata(model.bundle, model.statement)
            self._reads[f"{base}/ready"] = {"name": name, "ready": True}
        self._writes: dict[str, Handler] = {
            "/predict": self._predict,
            "/explain": functools.partial(self._explain, protocols.explain_request),
            f"/v1/models/{name}:predict": self._predict_v1,
            f"/v1/models/{name}:explain": functools.partial(self._explain, protocols.v1_request),
            f"/v2/models/{name}/infer": self._predict_v2,
            f"{version}/infer": self._predict_v2,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] == "/metrics":
            await _send(send, 200, CONTENT_TYPE, self._metrics.text())
        elif scope["type"] == "http":
            began = time.perf_counter()
            status, content = await self._answer(scope["method"], scope["path"], receive)
            text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
            await _send(send, status, b"application/json", text, *self._approval)
            self._metrics.count(scope["path"], status, time.perf_counter() - began)

    async def _answer(self, method: str, path: str, receive: Receive) -> Response:
        if path in self._reads:
            return (200, self._reads[path]) if method == "GET" else _error(405, "method_not_allowed", "use GET")
        handler = self._writes.get(path)
        if handler is None:
            return _error(404, "not_found", "this server has no such path or model")
        if method != "POST":
            return _error(405, "method_not_allowed", "use POST")
        try:
            self._model.check_time(datetime.now(UTC))
        except Refused as refusal:
            return _error(503, refusal.code, refusal.sentence)
        return await _handled(handler, await _body(receive))

    async def _predict(self, body: Any) -> Response:
        columns, rows = protocols.own_request(body, self._model.bundle)
        answer = await self._run("predict", self._model.predict, columns, rows, body.get("params"))
        return 200, {"prediction": answer.prediction, "labels": answer.labels}

    async def _predict_v1(self, body: Any) -> Response:
        answer = await self._run("predict", self._model.predict, *protocols.v1_request(body, self._model.bundle))
        return 200, protocols.v1_response(answer)

    async def _predict_v2(self, body: Any) -> Response:
        answer = await self._run("predict", self._model.predict, *protocols.v2_request(body, self._model.bundle))
        return 200, protocols.v2_response(answer, self._model.bundle, body.get("id"))

    async def _explain(self, read: Callable[..., Any], body: Any) -> Response:
        explanation = await self._run("explain", self._model.explain, *read(body, self._model.bundle))
        return 200, explanation.as_json()

    async def _run(self, kind: str, work: Callable[..., Any], *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._threads[kind])


async def _send(send: Send, status: int, content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _handled(handler: Handler, body: bytes | None) -> Response:
    """Run a handler; every situation it can end in becomes a status, a reason code and a sentence."""
    if body is None:
        return _error(413, "too_large", f"a body may have {MAX_BODY_BYTES} bytes")
    try:
        return await handler(orjson.loads(body))
    except orjson.JSONDecodeError:
        return _error(400, "malformed_json", "the body is not JSON (NaN and Infinity are not JSON numbers)")
    except tuple(_SITUATIONS) as error:
        status, reason = _SITUATIONS[type(error)]
        answer = _error(status, reason, str(error))
        if isinstance(error, BadInput):
            answer[1]["problems"] = [problem.as_json() for problem in error.problems]
        return answer
    except Refused as refusal:
        logger.exception("the model's files are no longer those that were approved")
        return _error(409, refusal.code, refusal.sentence)
    except Exception:
        # The process boundary: a library may raise anything for rows it dislikes; the caller gets no internals.
        logger.exception("the model failed")
        return _error(500, "model_failed", "the model failed to answer these rows")


def _error(status: int, reason: str, sentence: str) -> Response:
    return status, {"error": sentence, "reason": reason}


async def _body(receive: Receive) -> bytes | None:
    """Read the request body; None when it is larger than allowed."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
