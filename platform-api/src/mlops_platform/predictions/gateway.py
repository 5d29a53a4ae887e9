"""The data plane: a raw ASGI application in front of the control plane.

A prediction by feature values meets no SQL, no registry and no other thread: token cache, routing table, decoder, ONNX
graph, log append, answer. Everything that is not a prediction passes to the control plane, timed.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping

import anyio
import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.dependencies import Services
from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.errors import PROBLEM_JSON, PlatformError
from mlops_platform.features.fastpath import retrieve_raw
from mlops_platform.kit.ids import new_id
from mlops_platform.predictions import oip
from mlops_platform.predictions.callers import Callers
from mlops_platform.predictions.predictor import Predictor
from mlops_platform.predictions.problems import BodyTooLarge
from mlops_platform.predictions.recorder import EndpointRecorder
from mlops_platform.predictions.routing import RoutingTable, Target
from mlops_platform.telemetry.requests import request_id_of

log = structlog.get_logger(__name__)

PREDICT = "/api/v1/predict"
RETRIEVE = "/api/v1/features/retrieve"
# how often a process asks whether routes changed: the promise is one second
_POLL_SECONDS = 0.4
_FLUSH_SECONDS = 0.25
_JSON = (b"content-type", b"application/json")
# other methods are made-up words of a caller and must not become label values
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Routes = Callable[[], Awaitable[RoutingSnapshot]]
Generation = Callable[[], Awaitable[int]]


class Gateway:
    """ASGI application. `routes` reads what answers, `generation` cheaply says whether that changed."""

    def __init__(self, inner: ASGIApp, services: Services, routes: Routes, generation: Generation) -> None:
        self._inner = inner
        self._services = services
        self._routes = routes
        self._generation = generation
        self._limit = services.settings.max_body_bytes
        self._callers = Callers(services.identity, services.authorizer)
        self.table = RoutingTable()
        self._predictor = Predictor(services, self.table)
        self._oip = oip.OpenInference(self.table, self._predictor, self._callers)
        self._recorders: dict[tuple[str, str], EndpointRecorder] = {}
        self._predictions: dict[str, EndpointRecorder] = {}
        self._nameless = EndpointRecorder("POST", PREDICT)
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False
        # request ids only have to be unique: a random part per process and a count are, and cost nothing
        self._process = new_id().replace("-", "")
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if not self._started:
                await self.start()
            path: str = scope["path"]
            if path == PREDICT and scope["method"] == "POST":
                await self._predict(scope, receive, send)
            elif path == RETRIEVE and scope["method"] == "POST":
                await self._retrieve(scope, receive, send)
            elif path == "/v2" or path.startswith("/v2/"):
                await self._open_inference(scope, receive, send)
            else:
                await self._control_plane(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    # --- life

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
            elif message["type"] == "lifespan.shutdown":
                await self.stop()
            return message

        await self._inner(scope, watched, send)

    async def start(self) -> None:
        """Read the routes and keep reading them; a database that is down only means 'not yet'."""
        if self._started:
            return
        self._started = True
        await self._try_refresh()
        self._tasks = [asyncio.create_task(self._follow_routes()), asyncio.create_task(self._keep_flushing())]

    async def stop(self) -> None:
        """Stop the background work and hand over the last counts."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self._started = [], False
        self.flush()

    async def _follow_routes(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        try:
            await self.refresh()
        except PlatformError as error:
            # the last table keeps answering; /ready says what is wrong
            log.warning("routes not read", reason=error.title)
        except Exception:  # a background task's boundary: the next tick tries again, the table stays as it was
            log.exception("routes not read")

    async def refresh(self) -> None:
        """Read the routes when their generation changed, and load new revisions off the event loop."""
        if await self._generation() == self.table.generation:
            return
        snapshot = await self._routes()
        targets = await anyio.to_thread.run_sync(self.table.load, snapshot)
        for gone in self.table.swap(snapshot, targets):
            await self._let_go(gone)
        for name in self.table.models:
            self._prediction_recorder(name)

    async def _let_go(self, target: Target) -> None:
        target.recorder.flush()
        if target.process:
            await target.process.close()

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for recorder in (*self._recorders.values(), *self._predictions.values(), self._nameless):
            recorder.flush()
        self.table.flush()
        self._services.prediction_log.flush()

    # --- requests

    def request_id(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """Return the caller's request id when it sent one, else a new one."""
        if b"x-request-id" in headers:
            return request_id_of(scope)
        self._count += 1
        return f"{self._process}{self._count:x}"

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope, headers)
        model_name = ""
        try:
            caller = self._callers.known(headers) or await self._callers.ask(headers)
            body = await self._body(headers, receive)
            answer = await self._predictor.predict(caller, body, began)
            model_name, version = answer.target.live.model_name, answer.version
            await _send(send, 200, answer.body, request_id, (b"x-model-version", version))
            status = 200
        except PlatformError as error:
            status = error.status
            model_name = getattr(error, "counted_model", "")
            await _refuse(send, error, request_id)
        self._prediction_recorder(model_name).record(status, time.perf_counter() - began)

    async def _retrieve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope, headers)
        try:
            caller = self._callers.known(headers) or await self._callers.ask(headers)
            caller.require("feature:read")
            body = await self._body(headers, receive)
            await _send(send, 200, await retrieve_raw(self._services, caller.principal, body), request_id)
            status = 200
        except PlatformError as error:
            status = error.status
            await _refuse(send, error, request_id)
        self._recorder("POST", RETRIEVE).record(status, time.perf_counter() - began)

    async def _open_inference(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope, headers)
        model_name, endpoint = "", "/v2"
        try:
            endpoint, action = self._oip.resolve(scope["method"], scope["path"])
            body = await self._body(headers, receive)
            model_name, content = await action(headers, body, request_id, began)
            status = 200
            await _send(send, status, content, request_id)
        except PlatformError as error:
            status = error.status
            model_name = getattr(error, "counted_model", "")
            described = [(name.lower().encode(), value.encode()) for name, value in error.headers().items()]
            await _send(send, status, orjson.dumps({"error": error.detail}), request_id, *described)
        if model_name:
            self._prediction_recorder(model_name).record(status, time.perf_counter() - began)
        else:
            self._recorder(_method(scope), endpoint).record(status, time.perf_counter() - began)

    async def _control_plane(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        finally:
            # the template, never the path: a path can hold anything
            route = scope.get("route")
            endpoint = getattr(route, "path", None) or "unmatched"
            self._recorder(_method(scope), endpoint).record(status, time.perf_counter() - began)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > self._limit:
                raise BodyTooLarge(self._limit)
            return body
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limit:
            raise BodyTooLarge(self._limit)
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limit:
                raise BodyTooLarge(self._limit)
        return b"".join(parts)

    def _prediction_recorder(self, model_name: str) -> EndpointRecorder:
        # only names of models that answer become labels: what a caller makes up does not
        if model_name not in self.table.models:
            return self._nameless
        recorder = self._predictions.get(model_name)
        if recorder is None:
            recorder = self._predictions[model_name] = EndpointRecorder("POST", PREDICT, model_name)
        return recorder

    def _recorder(self, method: str, endpoint: str) -> EndpointRecorder:
        recorder = self._recorders.get((method, endpoint))
        if recorder is None:
            recorder = self._recorders[method, endpoint] = EndpointRecorder(method, endpoint)
        return recorder


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


async def _send(send: Send, status: int, body: bytes, request_id: str, *headers: tuple[bytes, bytes]) -> None:
    described = [_JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id.encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, error: PlatformError, request_id: str) -> None:
    body = orjson.dumps(error.problem(request_id))
    described: list[tuple[bytes, bytes]] = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *((name.lower().encode(), value.encode()) for name, value in error.headers().items()),
    ]
    if error.status == BodyTooLarge.status:
        # what is left of the body is not read
        described.append((b"connection", b"close"))
    # a caller that went away needs no answer
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": error.status, "headers": described})
        await send({"type": "http.response.body", "body": body})
