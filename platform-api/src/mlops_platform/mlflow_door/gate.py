"""The door itself: an ASGI application that lets a request through to MLflow, or says why not."""

import time
from dataclasses import dataclass

import orjson
import structlog
from starlette.types import Message, Receive, Scope, Send

from mlops_platform.database.session import Database
from mlops_platform.errors import NotFound, PlatformError, ServerError
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.replies import send_reply
from mlops_platform.mlflow_door import changes, defaults, forwarding, sources
from mlops_platform.mlflow_door.access import Access, Route, route_of
from mlops_platform.mlflow_door.answers import problem, sign_in
from mlops_platform.mlflow_door.callers import Callers, SignInFirst
from mlops_platform.mlflow_door.interfaces import Outgoing, Upstream
from mlops_platform.mlflow_door.ownership import DEFAULT, acting_tenant
from mlops_platform.mlflow_door.places import Writing
from mlops_platform.mlflow_door.protection import Protection
from mlops_platform.mlflow_door.registrar import Registrar, Whole
from mlops_platform.mlflow_door.workspaces import Workspaces
from mlops_platform.predictions.bounded_protocol import Patience
from mlops_platform.telemetry import metrics, spans
from mlops_platform.telemetry.requests import HEADER, request_id_of

log = structlog.get_logger(__name__)

_WORKSPACE = b"x-mlflow-workspace"
_LIST = "/api/3.0/mlflow/workspaces"
_ABOUT_WORKSPACES = (_LIST, "/api/3.0/mlflow/server-info")
_REWRITTEN = frozenset({b"content-length", b"content-type", b"content-encoding"})


class ClosedRoute(NotFound):
    """The route is not part of what the platform offers."""

    title = "MLflow's door does not open for this"

    def __init__(self) -> None:
        super().__init__("The platform does not offer this part of MLflow; docs/guides/mlflow.md lists what it offers.")


@dataclass(frozen=True)
class _Asked:
    """A request of a known caller, with what it may do already decided."""

    scope: Scope
    receive: Receive
    send: Send
    route: Route
    caller: Principal
    tenant: str


class Gate:
    """Authenticates, asks for the permission, chooses the workspace, and forwards."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        callers: Callers,
        authorizer: Authorizer,
        database: Database,
        registrar: Registrar,
        writing: Writing,
        sign_in_url: str,
        patience: Patience,
    ) -> None:
        self.patience = patience
        self._upstream, self._callers, self._authorizer = upstream, callers, authorizer
        self._database, self._registrar, self._protection = database, registrar, Protection(database, writing)
        self._workspaces, self._sign_in = Workspaces(upstream), sign_in_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await self._upstream.close()
        await self._database.dispose()
        spans.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        with spans.serving(scope["method"], scope["headers"]) as span:
            await self._measured(scope, receive, send, span)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, span: spans.Span) -> None:
        request_id, began, started, access = request_id_of(scope["headers"]), time.perf_counter(), 0, "unknown"
        span.named(f"{scope['method']} unmatched")
        span.told(mlops_request=request_id)

        async def answered(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
                span.answered(started)
                message["headers"] = [*message["headers"], (HEADER, request_id.encode())]
            await send(message)

        try:
            route = route_of(scope["method"], scope["path"])
            access = route.access.value
            if route.access is not Access.CLOSED:
                # what the table does not name holds the caller's own words
                span.named(f"{scope['method']} {route.template}")
                span.told(http_route=route.template)
            await self._route(scope, receive, answered, route)
        except SignInFirst:
            await sign_in(answered, self._sign_in)
        except PlatformError as error:
            if started:
                # half an answer must not look like a whole one: the server closes the connection
                raise
            await send_reply(answered, problem(error, request_id))
        except Exception:  # the process's boundary: logged, and answered as a defect of ours
            log.exception("unexpected error", path=scope["path"], request_id=request_id)
            if started:
                raise
            defect = ServerError("This is a defect of the platform; quote the request id when you report it.")
            await send_reply(answered, problem(defect, request_id))
        finally:
            metrics.mlflow_door_requests_total.labels(access, str(started)).inc()
            metrics.mlflow_door_request_duration_seconds.labels(access).observe(time.perf_counter() - began)

    async def _route(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        if route.access is Access.PUBLIC:
            await forwarding.stream(self._upstream, Outgoing(route.method, route.template, DEFAULT), send)
            return
        caller = await self._callers.caller(scope["method"], scope["headers"])
        if route.access is Access.CLOSED:
            raise ClosedRoute
        action = "model:register" if route.access is Access.REGISTRY else route.access.value
        sent = [value for name, value in scope["headers"] if name == _WORKSPACE]
        tenant = acting_tenant(caller, b",".join(sent).decode("latin-1"), action, self._authorizer)
        if not (route.access is Access.REGISTRY and route.method == "DELETE"):
            demand(self._authorizer, caller, action, tenant)
        asked = _Asked(scope, receive, send, route, caller, tenant)
        if route.access is Access.REGISTRY:
            await self._change(asked)
        elif route.template.startswith(_ABOUT_WORKSPACES):
            await self._workspaces.default_experiment(asked.tenant)
            await self._about_workspaces(asked)
        elif route.access is Access.WRITE:
            await self._write(asked)
        else:
            sources.refuse_listing_teams(route, scope["query_string"].decode("latin-1"))
            await self._pass(asked)

    async def _change(self, asked: _Asked) -> None:
        await self._workspaces.default_experiment(asked.tenant)
        raw = await forwarding.whole_body(asked.receive)
        change = changes.change_of(asked.route.method, asked.route.template, raw, asked.caller.subject)
        await sources.refuse_foreign(self._upstream, asked.tenant, change)

        async def send(body: bytes) -> Whole:
            return await forwarding.whole(self._upstream, self._rebuilt(asked, body))

        await forwarding.send_whole(asked.send, await self._registrar.apply(asked.caller, asked.tenant, change, send))

    async def _write(self, asked: _Asked) -> None:
        scope, route = asked.scope, asked.route
        body: bytes | None = None
        if (route.method, route.template) in changes.FIELDS:
            raw = await forwarding.whole_body(asked.receive)
            fields = changes.fields_of(route.method, route.template, raw)
            await self._protection.fields(asked.tenant, fields)
            body = orjson.dumps(fields)
        query = scope["query_string"].decode("latin-1")
        async with self._protection.write(route, asked.tenant, scope["path"], query):
            await self._pass(asked, body)

    async def _pass(self, asked: _Asked, body: bytes | None = None) -> None:
        """Forward a request: as it is, but for the experiment that every client calls "0"."""
        scope = asked.scope
        default = await self._workspaces.default_experiment(asked.tenant)
        query: str | None = None
        if default != "0" or asked.tenant != DEFAULT:
            query = defaults.in_query(scope["query_string"].decode("latin-1"), default)
            if body is None and _is_json(scope) and forwarding.has_body(scope):
                body = await forwarding.whole_body(asked.receive)
            body = None if body is None else defaults.in_body(body, default)
        if body is not None:
            await forwarding.stream(self._upstream, self._rebuilt(asked, body, query), asked.send)
            return
        request = Outgoing(
            scope["method"],
            forwarding.target_of(scope, query),
            asked.tenant,
            forwarding.headers_for(scope),
            forwarding.body_of(asked.receive) if forwarding.has_body(scope) else None,
        )
        await forwarding.stream(self._upstream, request, asked.send)

    def _rebuilt(self, asked: _Asked, body: bytes, query: str | None = "") -> Outgoing:
        headers = forwarding.headers_for(asked.scope, without=_REWRITTEN)
        return Outgoing(
            asked.scope["method"],
            forwarding.target_of(asked.scope, query),
            asked.tenant,
            [*headers, ("Content-Type", "application/json")],
            body,
        )

    async def _about_workspaces(self, asked: _Asked) -> None:
        """Show of the workspaces only what the caller may see; to who sees one, MLflow is as if there were none."""
        if asked.route.template.startswith(f"{_LIST}/"):
            demand(self._authorizer, asked.caller, Access.READ.value, asked.scope["path"].rsplit("/", 1)[1])
            await self._pass(asked)
            return
        headers = forwarding.headers_for(asked.scope, without=frozenset({b"accept-encoding"}))
        answer = await forwarding.whole(
            self._upstream, Outgoing("GET", forwarding.target_of(asked.scope), asked.tenant, headers)
        )
        if answer.status == 200:  # noqa: PLR2004 - the status itself
            found = orjson.loads(answer.body)
            if asked.route.template == _LIST:
                found["workspaces"] = [
                    workspace
                    for workspace in found.get("workspaces", [])
                    if self._authorizer.allowed(asked.caller, Access.READ.value, workspace["name"])
                ]
            else:
                found["workspaces_enabled"] = asked.caller.company_wide
                found["features_enabled"] = {**found.get("features_enabled", {}), "gateway": False}
            answer = Whole(answer.status, answer.headers, orjson.dumps(found))
        await forwarding.send_whole(asked.send, answer)


def _is_json(scope: Scope) -> bool:
    return any(name == b"content-type" and b"json" in value for name, value in scope["headers"])
