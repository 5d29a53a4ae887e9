"""The data plane: a raw ASGI application in front of the control plane.

A prediction by feature values meets no SQL, no registry and no other thread: token cache, routing table, decoder, ONNX
graph, log append, answer. Everything that is not a prediction passes to the control plane, timed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio
import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.dependencies import Services
from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.errors import PlatformError
from mlops_platform.features import service as features
from mlops_platform.kit.ids import new_id
from mlops_platform.predictions import oip
from mlops_platform.predictions.callers import Callers
from mlops_platform.predictions.feature_retrieval import retrieve_raw
from mlops_platform.predictions.predictor import Answer, Predictor, waits_for_nothing
from mlops_platform.predictions.problems import BodyTooLarge
from mlops_platform.predictions.recorder import EndpointRecorder
from mlops_platform.predictions.replies import Reply, as_refusal, error_headers, refused, reply, send_reply
from mlops_platform.predictions.routing import RoutingTable, Target
from mlops_platform.telemetry.requests import request_id_of

log = structlog.get_logger(__name__)

PREDICT = "/api/v1/predict"
RETRIEVE = "/api/v1/features/retrieve"
# how often a process asks whether routes changed: the promise is one second
_POLL_SECONDS = 0.4
_FLUSH_SECONDS = 0.25
# other methods are made-up words of a caller and must not become label values
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Headers = Sequence[tuple[bytes, bytes]]
Routes = Callable[[], Awaitable[RoutingSnapshot]]
Generation = Callable[[], Awaitable[int]]


class Gateway:
    """ASGI application. `routes` reads what answers, `generation` cheaply says whether that changed."""

    def __init__(self, inner: ASGIApp, services: Services, routes: Routes, generation: Generation) -> None:
        self._inner = inner
        self._services = services
        self._routes = routes
        self._generation = generation
        self.limit = services.settings.max_body_bytes
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
        self._tasks = [
            asyncio.create_task(self._follow_routes()),
            asyncio.create_task(self._keep_flushing()),
            asyncio.create_task(features.follow_definitions(self._services.features)),
        ]

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

    def request_id(self, headers: Headers, named: Mapping[bytes, bytes]) -> str:
        """Return the caller's request id when it sent one, else a new one."""
        if b"x-request-id" in named:
            return request_id_of(headers)
        self._count += 1
        return f"{self._process}{self._count:x}"

    def at_once(self, headers: Headers, body: bytes) -> Reply | None:
        """Answer a whole prediction request when nothing has to be waited for; None when the long way has to be taken.

        None leaves nothing behind: no count, no record.
        """
        began = time.perf_counter()
        named = dict(headers)
        caller = self._callers.known(named)
        if caller is None:
            return None
        request_id = self.request_id(headers, named)
        try:
            opened = self._predictor.open(caller, body)
            if not waits_for_nothing(*opened):
                return None
            answer = self._predictor.answer(*opened, began)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            return self._refused(error, request_id, began)
        return self._predicted(answer, request_id, began)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope["headers"], headers)
        try:
            caller = self._callers.known(headers) or await self._callers.ask(headers)
            body = await self._body(headers, receive)
            answer = await self._predictor.predict(caller, body, began)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            await send_reply(send, self._refused(error, request_id, began))
        else:
            await send_reply(send, self._predicted(answer, request_id, began))

    def _predicted(self, answer: Answer, request_id: str, began: float) -> Reply:
        recorder = self._prediction_recorder(answer.target.live.model_name)
        recorder.record(200, time.perf_counter() - began)
        return reply(200, answer.body, request_id, (b"x-model-version", answer.version))

    def _refused(self, error: Exception, request_id: str, began: float) -> Reply:
        refusal = as_refusal(error)
        recorder = self._prediction_recorder(getattr(refusal, "counted_model", ""))
        recorder.record(refusal.status, time.perf_counter() - began)
        return refused(refusal, request_id)

    async def _retrieve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope["headers"], headers)
        try:
            caller = self._callers.known(headers) or await self._callers.ask(headers)
            caller.require("feature:read")
            body = await self._body(headers, receive)
            answer = reply(200, await retrieve_raw(self._services, caller.principal, body), request_id)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            answer = refused(as_refusal(error), request_id)
        await send_reply(send, answer)
        self._recorder("POST", RETRIEVE).record(answer.status, time.perf_counter() - began)

    async def _open_inference(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope["headers"], headers)
        model_name, endpoint = "", "/v2"
        try:
            endpoint, action = self._oip.resolve(scope["method"], scope["path"])
            body = await self._body(headers, receive)
            model_name, content = await action(headers, body, request_id, began)
            answer = reply(200, content, request_id)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            refusal = as_refusal(error)
            model_name = getattr(refusal, "counted_model", "")
            # the protocol's own form of an error
            content = orjson.dumps({"error": refusal.detail})
            answer = reply(refusal.status, content, request_id, *error_headers(refusal))
        await send_reply(send, answer)
        recorder = self._prediction_recorder(model_name) if model_name else self._recorder(_method(scope), endpoint)
        recorder.record(answer.status, time.perf_counter() - began)

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
            if len(body) > self.limit:
                raise BodyTooLarge(self.limit)
            return body
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self.limit:
            raise BodyTooLarge(self.limit)
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.limit:
                raise BodyTooLarge(self.limit)
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
