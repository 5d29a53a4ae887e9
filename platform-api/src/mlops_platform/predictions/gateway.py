"""The data plane: a raw ASGI application in front of the control plane.

A prediction by feature values meets no SQL, no registry and no other thread: token cache, routing table, decoder, ONNX
graph, log append, answer. Everything that is not a prediction passes to the control plane, timed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.dependencies import Services
from mlops_platform.features import service as features
from mlops_platform.identity.admission import refuse_two_tokens
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.replies import Reply, send_reply
from mlops_platform.predictions import oip
from mlops_platform.predictions.aliases import is_alias
from mlops_platform.predictions.bounded_protocol import Patience
from mlops_platform.predictions.callers import Caller, Callers
from mlops_platform.predictions.endpoint_recorders import EndpointRecorders
from mlops_platform.predictions.fair_share import BUCKETS, FairShare, OverItsShare
from mlops_platform.predictions.feature_retrieval import retrieve_raw
from mlops_platform.predictions.incoming import Incoming
from mlops_platform.predictions.operations import INFERENCE, PLAIN, PREDICT, RETRIEVE
from mlops_platform.predictions.outbox import Outbox
from mlops_platform.predictions.predict_door import PredictDoor
from mlops_platform.predictions.predictor import Predictor, TakesLong
from mlops_platform.predictions.replies import as_refusal, refused, reply
from mlops_platform.predictions.reporting import Reporter
from mlops_platform.predictions.route_following import Generation, Revocations, RouteFollower, Routes, Sources
from mlops_platform.predictions.routing import RoutingTable
from mlops_platform.predictions.trust import Trust
from mlops_platform.telemetry import metrics, spans, tracing
from mlops_platform.telemetry.gauges import Family
from mlops_platform.telemetry.requests import CURRENT, request_id_of

log = structlog.get_logger(__name__)

_FLUSH_SECONDS = 0.25
# any other method is free text of the caller and must not become a label value
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_PREDICT = PREDICT.encode()

Headers = Sequence[tuple[bytes, bytes]]
Answering = Callable[[Incoming], Awaitable[Reply]]


class Gateway:
    """ASGI application. `routes` reads what answers, `generation` cheaply says whether that changed.

    `revocations` reads the newest signed list of withdrawn approvals; `trust` says what may be loaded.
    """

    def __init__(
        self,
        inner: ASGIApp,
        services: Services,
        routes: Routes,
        generation: Generation,
        revocations: Revocations,
        trust: Trust,
    ) -> None:
        self._inner = inner
        self._services = services
        settings = services.settings
        self.limit = settings.max_body_bytes
        self.patience = Patience(settings.max_head_bytes, settings.request_head_seconds, settings.request_body_seconds)
        self._callers = Callers(services.identity, services.authorizer)
        self._trust = trust
        self.table = RoutingTable(trust)
        self._refused_codes = Family(metrics.revisions_refused, gone=0)
        self._reporter = Reporter(services)
        self._recorders = EndpointRecorders()
        self.following = RouteFollower(
            Sources(routes, generation, revocations), self.table, trust, self._reporter, self._recorders
        )
        self._shares = FairShare(
            BUCKETS,
            settings.tenant_requests_per_second,
            settings.tenant_requests_burst,
            settings.tenant_requests_in_flight,
        )
        self._predictor = Predictor(services, self.table)
        self._door = PredictDoor(self._predictor, self._record)
        self._oip = oip.OpenInference(self.table, self._predictor)
        self.outbox = Outbox(services.prediction_log)
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False
        # request ids only have to be unique: a random part per process and a count are, and cost nothing
        self._process = new_id().replace("-", "")
        self._count = 0
        # the model of the newest answer, for its span
        self._asked = "unknown"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if not self._started:
                await self.start()
            path: str = scope["path"]
            if path == PREDICT and scope["method"] == "POST":
                await self._data_plane(self._predict, scope, receive, send)
            elif path == RETRIEVE and scope["method"] == "POST":
                await self._data_plane(self._retrieve, scope, receive, send)
            elif path == INFERENCE or path.startswith((f"{INFERENCE}/", f"{PLAIN}/")):
                await self._data_plane(self._open_inference, scope, receive, send)
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
        await self.following.look()
        self._tasks = [
            asyncio.create_task(self.following.follow()),
            asyncio.create_task(self._keep_flushing()),
            asyncio.create_task(features.follow_definitions(self._services.features)),
        ]

    async def stop(self) -> None:
        """Stop the background work and hand over the last counts and predictions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self._started = [], False
        await self._reporter.leave()
        self._try_flush()
        # otherwise the worker takes them when it sees that this process is gone, and nobody after a change of host
        self._services.prediction_log.close()

    async def refresh(self) -> None:
        """Read the routes when they changed or a revision is due to be tried again."""
        await self.following.refresh()

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._try_flush()

    def _try_flush(self) -> None:
        try:
            self.flush()
        except Exception:  # a background task's boundary: the next tick tries again
            log.exception("counts not handed over")

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        self._recorders.flush()
        self.table.flush()
        self._trust.report()
        self._refused_codes.replace({(code,): float(count) for code, count in self.table.refused.items()})
        self._services.prediction_log.flush()

    # --- requests

    def request_id(self, headers: Headers, named: Mapping[bytes, bytes]) -> str:
        """Return the caller's request id when it sent one, else a new one."""
        if b"x-request-id" in named:
            return request_id_of(headers)
        self._count += 1
        return f"{self._process}{self._count:x}"

    def at_once(self, url: bytes, headers: Headers, body: bytes) -> Reply | None:
        """Answer a whole prediction request when nothing has to be waited for; None when the long way has to be taken.

        The answer leaves through the `outbox`, after its record. `url`: what `is_short` said yes to. None leaves nothing behind: no count, no record.
        """
        began = time.perf_counter()
        named = dict(headers)
        # a header that is there twice, or a body that is packed: the long way looks closer
        if len(named) != len(headers) or b"content-encoding" in named:
            return None
        caller = self._callers.known(named)
        if caller is None:
            return None
        request_id = self.request_id(headers, named)
        current = CURRENT.set(request_id)
        trace = tracing.begin(headers) if tracing.HEADER in named else None
        answer = None
        try:
            self._shares.admit(caller.principal.tenant)
            if url == _PREDICT:
                answer = self._door.at_once(caller, body, request_id, began)
            else:
                answer = self._infer_at_once(caller, url, body, named, request_id, began)
        except TakesLong:
            pass
        except OverItsShare as error:
            return self._over(url, error, request_id, began)
        finally:
            tracing.end(trace)
            CURRENT.reset(current)
        if answer is None:
            # the long way asks again
            self._shares.give_back(caller.principal.tenant)
        else:
            name = f"POST {PREDICT if url == _PREDICT else INFERENCE}"
            spent = time.perf_counter() - began
            spans.served(name, headers, spent, answer.status, mlops_model=self._asked, mlops_request=request_id)
        return answer

    def _over(self, url: bytes, error: OverItsShare, request_id: str, began: float) -> Reply:
        """Refuse in the form of the door that was asked; the body was not read."""
        predict = url == _PREDICT
        self._recorders.of_endpoint("POST", PREDICT if predict else INFERENCE).record(429, time.perf_counter() - began)
        return refused(error, request_id) if predict else oip.refused(error, request_id)

    def _infer_at_once(
        self, caller: Caller, url: bytes, body: bytes, named: dict[bytes, bytes], request_id: str, began: float
    ) -> Reply | None:
        _, name, version = oip.resolve("POST", url.decode("ascii"))
        if is_alias(version):
            return None
        try:
            answer = self._oip.infer_at_once(caller, name, version, body, named, request_id, began)
        except TakesLong:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            answer = oip.refused(error, request_id)
        if answer is not None:
            self._record(name, answer.status, time.perf_counter() - began)
        return answer

    async def _data_plane(self, answer: Answering, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self.request_id(scope["headers"], headers)
        # every line that is logged from here on, in threads too, names the request
        current, trace = CURRENT.set(request_id), tracing.begin(scope["headers"])
        incoming = Incoming(scope, headers, receive, request_id, began, [])
        try:
            with spans.serving(f"{_method(scope)} {_door_of(scope['path'])}", scope["headers"]) as span:
                given = await answer(incoming)
                span.answered(given.status)
                span.told(mlops_request=request_id)
            if given.status == 401:  # noqa: PLR2004
                # the body of a caller we do not know was not read: nothing else can follow on this connection
                given.headers.append((b"connection", b"close"))
            self._services.prediction_log.commit()
            await send_reply(send, given)
        finally:
            for tenant in incoming.inside:
                self._shares.leave(tenant)
            tracing.end(trace)
            CURRENT.reset(current)

    async def _predict(self, incoming: Incoming) -> Reply:
        read = partial(incoming.body, self.limit)
        return await self._door.answer(partial(self._caller, incoming), read, incoming.request_id, incoming.began)

    def _record(self, model_name: str, status: int, seconds: float) -> None:
        # a name that nobody has is free text of the caller
        self._asked = model_name if model_name in self.table.models else "unknown"
        spans.tell(mlops_model=self._asked)
        self._recorders.of_model(model_name, self.table.models).record(status, seconds)

    async def _retrieve(self, incoming: Incoming) -> Reply:
        try:
            caller = await self._caller(incoming)
            caller.require("feature:read")
            content = await retrieve_raw(self._services, caller, await incoming.body(self.limit))
            answer = reply(200, content, incoming.request_id)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            answer = refused(as_refusal(error), incoming.request_id)
        self._recorders.of_endpoint("POST", RETRIEVE).record(answer.status, time.perf_counter() - incoming.began)
        return answer

    async def _open_inference(self, incoming: Incoming) -> Reply:
        scope = incoming.scope
        answer, endpoint, model_name = await self._oip.answer(
            scope["method"],
            scope["path"],
            dict(incoming.headers),
            partial(self._caller, incoming),
            partial(incoming.body, self.limit),
            incoming.request_id,
        )
        recorder = (
            self._recorders.of_model(model_name, self.table.models)
            if model_name
            else self._recorders.of_endpoint(_method(scope), endpoint)
        )
        recorder.record(answer.status, time.perf_counter() - incoming.began)
        return answer

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
            self._recorders.of_endpoint(_method(scope), endpoint).record(status, time.perf_counter() - began)

    async def _caller(self, incoming: Incoming) -> Caller:
        refuse_two_tokens(incoming.scope["headers"])
        caller = self._callers.known(incoming.headers) or await self._callers.ask(incoming.headers)
        self._shares.enter(caller.principal.tenant)
        incoming.inside.append(caller.principal.tenant)
        return caller


def _door_of(path: str) -> str:
    return path if path in {PREDICT, RETRIEVE} else INFERENCE if path.startswith(INFERENCE) else PLAIN


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"
