"""How the console reaches the embedded issuer: as any client does, in this process instead of over the network."""

from types import SimpleNamespace

import httpx2
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mlops_platform.database.session import Database
from mlops_platform.errors import PlatformError
from mlops_platform.identity import endpoints as documents
from mlops_platform.identity.issuer import endpoints as issuer
from mlops_platform.kit.replies import problem_reply
from mlops_platform.settings import Settings


def embedded_transport(settings: Settings, database: Database) -> httpx2.AsyncBaseTransport:
    """Return a transport that answers for the embedded issuer, whatever name its address has."""
    app = FastAPI(openapi_url=None)
    app.state.services = SimpleNamespace(settings=settings, database=database)
    app.include_router(documents.router)
    app.include_router(issuer.router)
    app.add_exception_handler(PlatformError, _problem)
    return httpx2.ASGITransport(app)


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    reply = problem_reply(error, "")
    return Response(reply.body, reply.status)
