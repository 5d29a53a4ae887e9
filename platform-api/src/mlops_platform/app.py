"""The application: FastAPI for the control plane, the data plane's gateway mounted in front of it."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from mlops_platform import __version__, api_docs, health
from mlops_platform.bootstrap import BuiltServices, build
from mlops_platform.console import endpoints as console
from mlops_platform.console import sessions as console_sessions
from mlops_platform.console.rendering import PREFIX as CONSOLE
from mlops_platform.database.errors import ChangesMet
from mlops_platform.database.retries import RetriedWrites
from mlops_platform.deployments import service as deployments
from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.errors import PROBLEM_JSON, BadRequest, Invalid, NotFound, PlatformError, ServerError
from mlops_platform.idempotency.middleware import Idempotency
from mlops_platform.identity.admission import Admission
from mlops_platform.identity.dependencies import permission_of
from mlops_platform.identity.hosts import TrustedHosts
from mlops_platform.kit.deadline import Deadlines
from mlops_platform.kit.replies import problem_reply
from mlops_platform.predictions import description
from mlops_platform.predictions.bundles import fetch_bundles
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.trust import Trust
from mlops_platform.routes import PUBLIC, ROUTERS
from mlops_platform.settings import Settings
from mlops_platform.statements import revoking
from mlops_platform.telemetry import logging as telemetry_logging
from mlops_platform.telemetry import spans
from mlops_platform.telemetry.bodies import BodyLimit
from mlops_platform.telemetry.requests import RequestIds

log = structlog.get_logger(__name__)

# objects made before the collector looks for cycles: requests make few, so every 700th (the default) is work for nothing
_COLLECT_AFTER = 20_000


# where people look at answers
_PAGES = (CONSOLE, "/issuer/authorize", "/issuer/device")
# a caller mends one part after the other; naming half a million takes ten seconds in which nobody else is answered
_MOST_PROBLEMS = 20
_LONGEST_POINTER = 200
_LONGEST_DETAIL = 500


class RequestNotValid(Invalid):
    """The request does not fit the schema of the API."""

    title = "The request does not fit the API's schema"


class MalformedJson(BadRequest):
    """The body is not JSON."""

    title = "The request body is not JSON"


class NoSuchRoute(NotFound):
    """Nothing is served at this path."""


class MethodNotAllowed(PlatformError):
    """The path exists, for other methods."""

    status = 405
    title = "This path does not answer this method"


def create_control_plane(services: BuiltServices) -> FastAPI:
    """Return the control plane over the given parts."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await services.database.dispose()

    app = FastAPI(
        title="Enterprise MLOps Platform API",
        version=__version__,
        # FastAPI's own pages load their scripts from other hosts
        docs_url=None,
        redoc_url=None,
        openapi_url=api_docs.OPENAPI,
        lifespan=lifespan,
        responses={
            code: {
                "description": text,
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
            }
            for code, text in _PROBLEMS.items()
        },
    )
    app.state.services = services
    app.include_router(health.router)
    for router in ROUTERS:
        app.include_router(router)
    console.install(app)
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    _describe_data_plane(app)
    api_docs.install(app)
    return app


def create(control_plane: FastAPI | None = None) -> Gateway:
    """Return the whole application: what `uvicorn --factory mlops_platform.app:create` runs, from the environment's settings.

    A process that was forked has a control plane from its parent, which has connected nothing and keeps no loop.
    """
    telemetry_logging.configure("api")
    spans.start("api")
    gateway = compose(build(Settings())) if control_plane is None else _in_front_of(control_plane)
    # what is loaded by now stays for the life of the process: the collector need not walk it under load
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    return gateway


def compose(services: BuiltServices) -> Gateway:
    """Return the ASGI application over the given parts: the data plane in front, the control plane behind it."""
    return _in_front_of(create_control_plane(services))


def _in_front_of(control_plane: FastAPI) -> Gateway:
    services: BuiltServices = control_plane.state.services
    settings = services.settings
    again = RetriedWrites(control_plane, settings.max_body_bytes)
    once = Idempotency(again, services, partial(permission_of, ROUTERS))
    hosts = TrustedHosts(settings.url, settings.trusted_hosts)
    bodies = BodyLimit(once, settings.max_body_bytes)
    admitted = Admission(
        bodies,
        services.identity,
        hosts,
        PUBLIC,
        pages=CONSOLE,
        sessions=services.sessions,
        cookie=console_sessions.cookie_name(services),
    )
    guarded = RequestIds(Deadlines(admitted, settings.request_seconds))

    async def routes() -> RoutingSnapshot:
        async with services.database.read_session() as session:
            snapshot = await deployments.live_routes(session, services.runtime.address)
        # off the event loop: a bundle that is not here yet is fetched and checked
        return await anyio.to_thread.run_sync(fetch_bundles, snapshot, services.bundles)

    async def generation() -> int:
        async with services.database.read_session() as session:
            return await deployments.routing_generation(session)

    async def revocations() -> bytes | None:
        async with services.database.read_session() as session:
            return await revoking.newest_list(session)

    settings = services.settings
    trust = Trust(settings.statement_public_keys, services.bundles, settings.statement_grace_until)
    return Gateway(guarded, services, routes, generation, revocations, trust)


_PROBLEMS = {
    401: "We do not know who is calling",
    403: "The caller's roles do not allow it",
    404: "It does not exist for this caller",
    409: "The present state does not allow it",
    422: "The request makes no sense",
    503: "Something the platform depends on is not answering",
}


def _describe_data_plane(app: FastAPI) -> None:
    """Add the paths that are answered before FastAPI, and the schema of a problem, to the OpenAPI document."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        document["paths"].update(description.paths())
        document.setdefault("components", {}).setdefault("schemas", {}).update(description.components())
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _answer(request: Request, error: PlatformError) -> Response:
    reply = problem_reply(error, getattr(request.state, "request_id", ""))
    response = Response(reply.body, reply.status)
    response.raw_headers = reply.headers
    return response


async def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    if isinstance(error, ChangesMet):
        request.state.changes_met = True
    if request.url.path.startswith(_PAGES):
        return console.problem_page(request, error)
    return _answer(request, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    problems = [
        {
            "pointer": ("/" + "/".join(str(part) for part in entry["loc"]))[:_LONGEST_POINTER],
            "detail": str(entry["msg"])[:_LONGEST_DETAIL],
        }
        for entry in found[:_MOST_PROBLEMS]
    ]
    if any(entry["type"] == "json_invalid" for entry in found[:_MOST_PROBLEMS]):
        invalid = MalformedJson("The body could not be parsed as JSON; send one JSON object.", errors=problems)
        return await _platform_error(request, invalid)
    sentence = "; ".join(f"{problem['pointer']}: {problem['detail']}" for problem in problems[:5])
    if len(found) > _MOST_PROBLEMS:
        sentence += f"; and more: {len(found)} parts do not fit in all, the first {_MOST_PROBLEMS} are named"
    return await _platform_error(request, RequestNotValid(sentence, errors=problems))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:  # noqa: PLR2004 - the status itself
        missing = NoSuchRoute(f"There is nothing at {request.url.path}; /api/docs lists every path.")
        return await _platform_error(request, missing)
    if error.status_code == 405:  # noqa: PLR2004
        response = _answer(request, MethodNotAllowed(f"{request.url.path} does not answer {request.method}."))
        response.headers["Allow"] = (error.headers or {}).get("Allow", "")
        return response
    return await _platform_error(request, BadRequest(_why_unreadable(error.__cause__)))


def _why_unreadable(cause: BaseException | None) -> str:
    """Say what a parser stumbled over."""
    if isinstance(cause, RecursionError):
        return "The body's JSON is nested too deeply."
    if isinstance(cause, UnicodeDecodeError):
        return "The body is not UTF-8 text."
    if isinstance(cause, ValueError) and "integer string conversion" in str(cause):
        return "The body holds an integer with thousands of digits; no value of this API has that many."
    return "The request could not be read."


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected error", path=request.url.path, exc_info=error)
    defect = ServerError("This is a defect of the platform; quote the request id when you report it.")
    return await _platform_error(request, defect)
