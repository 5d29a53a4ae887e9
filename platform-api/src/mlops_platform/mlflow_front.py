"""The process that people reach MLflow through: `uvicorn --factory mlops_platform.mlflow_front:create`.

It predicts nothing and shares no event loop with what predicts: an artifact of a gigabyte delays no prediction.
"""

import os
from functools import cache, partial

from prometheus_client import start_http_server

from mlops_platform.bootstrap import FrontServices, build_front, build_registry
from mlops_platform.console.rendering import PREFIX as CONSOLE
from mlops_platform.deployments import service as deployments
from mlops_platform.identity import session_cookie
from mlops_platform.identity.principal import Principal
from mlops_platform.mlflow_door.callers import Callers
from mlops_platform.mlflow_door.gate import Gate
from mlops_platform.mlflow_door.places import Writing
from mlops_platform.mlflow_door.registrar import Registrar
from mlops_platform.predictions.bounded_protocol import Patience
from mlops_platform.settings import Settings
from mlops_platform.telemetry import logging as telemetry_logging
from mlops_platform.telemetry import spans
from mlops_platform.telemetry.exposition import registry


def create() -> Gate:
    """Return the door from the environment's settings."""
    telemetry_logging.configure("mlflow-door")
    spans.start("mlflow-door")
    settings = Settings()
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, settings.host, registry())
    front = compose(build_front(settings))
    # loaded by now: from here on predictions on this machine go first, while artifacts of any size pass
    os.nice(10)
    return front


def compose(services: FrontServices) -> Gate:
    """Return the door over the given parts."""

    async def verified(token: str) -> Principal:
        return (await services.identity.authenticate(token)).principal

    async def in_session(cookie: str) -> Principal:
        return await services.sessions.authenticate(cookie)

    settings, writing = services.settings, Writing()
    # made at its first use: a door through which nobody has registered anything holds nothing of MLflow's client
    registry = cache(partial(build_registry, services.settings))
    registrar = Registrar(services.database, registry, services.authorizer, deployments.is_deployed, writing)
    return Gate(
        upstream=services.upstream,
        callers=Callers(verified, in_session, session_cookie.name(secure=settings.url.startswith("https://"))),
        authorizer=services.authorizer,
        database=services.database,
        registrar=registrar,
        writing=writing,
        sign_in_url=f"{settings.url}{CONSOLE}/sign-in",
        patience=Patience(settings.max_head_bytes, settings.request_head_seconds, settings.request_body_seconds),
    )
