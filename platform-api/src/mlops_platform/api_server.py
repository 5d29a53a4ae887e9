"""The API, console and data plane of one machine: `python -m mlops_platform.api_server`.

A parent imports everything, puts the control plane together, has it answer once, and forks MLOPS_API_WORKERS processes, which share
its memory and one listening socket. When one is
killed the others answer, and another takes its place within moments. When the parent is killed, its processes go on until the
next parent's answer: both may listen at the same address (SO_REUSEPORT, for processes of one user only).
"""

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI
from sqlalchemy.orm import configure_mappers
from starlette.types import Message

from mlops_platform import app
from mlops_platform.bootstrap import build, preload
from mlops_platform.kit import heartbeat
from mlops_platform.kit.prefork import Beat, Limits, Prefork
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.protocol import PredictionProtocol
from mlops_platform.settings import Settings
from mlops_platform.telemetry import logging as telemetry_logging
from mlops_platform.telemetry import spans

_STOP_SECONDS = 5
# a request that asks nothing of anybody
_HEALTH = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/health",
    "query_string": b"",
    "headers": [],
}


class _Server(uvicorn.Server):
    """uvicorn's server, whose event loop says that it turns."""

    def __init__(self, config: uvicorn.Config, beat: Beat) -> None:
        super().__init__(config)
        self._beat = beat

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second; a heartbeat with it."""
        if self.started:
            self._beat()
        return await super().on_tick(counter)


def listener(host: str, port: int) -> socket.socket:
    """Return the bound socket; who serves listens. A parent that starts takes no connection before it can answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    bound.set_inheritable(False)
    return bound


def serve(bound: socket.socket, beat: Beat, create: Callable[[], Gateway] = app.create) -> None:
    """Answer on this socket until SIGTERM."""
    config = uvicorn.Config(
        create,
        factory=True,
        loop="uvloop",
        http=PredictionProtocol,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
        log_level="warning",
    )
    _Server(config, beat).run(sockets=[bound])
    # the process ends without Python's own goodbye
    spans.stop()


def prepared(settings: Settings) -> FastAPI:
    """Return a control plane that has answered, with nothing connected and no thread left.

    What the first answer makes is made once for every process: each would write it into the pages that it shares with the others.
    """
    preload()
    control_plane = app.create_control_plane(build(settings))
    configure_mappers()
    asyncio.run(_ask(control_plane))
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            # it ends with the loop; a fork must not meet it halfway
            thread.join(_STOP_SECONDS)
    return control_plane


async def _ask(control_plane: FastAPI) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Message) -> None:
        return

    await control_plane(dict(_HEALTH), receive, send)


def main() -> int:
    """Run the parent until SIGTERM or SIGINT."""
    settings = Settings()
    telemetry_logging.configure("api")
    bound = listener(settings.host, settings.port)
    create = partial(app.create, prepared(settings))
    # pages that the collector does not write to stay shared
    gc.collect()
    gc.freeze()
    # a process has siblings that answer: to end one too early costs less than to let its callers wait
    limits = Limits(settings.start_seconds, settings.hung_seconds / 2, _STOP_SECONDS + 2)
    return Prefork(
        partial(serve, bound, create=create),
        settings.api_workers,
        partial(heartbeat.beat, settings.heartbeat_file),
        limits,
    ).run()


if __name__ == "__main__":
    sys.exit(main())
