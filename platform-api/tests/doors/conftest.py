"""Three engines as processes over sockets: the graph in the API, a model's process behind it, a cluster's model server."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.protocol import PredictionProtocol

from ..predictions.conftest import live
from ..support.ports import free_port
from ..support.trust import EveryBuild, nothing_revoked
from ..support.waiting import until_started
from .models import SAMPLES, Sample

NATIVE = "-native"


class Served(NamedTuple):
    """One model, its compiled bundle and its native one, and the servers of each."""

    sample: Sample
    bundle: Path
    native: Path
    server: str
    socket: str


class Place(NamedTuple):
    """Where an engine answers: its URL and the headers it asks for."""

    url: str
    headers: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    """Every model, built once, in two processes: the cluster's, with the graph, and the machine's, without one."""
    with ExitStack() as stack:
        found = {}
        for name, make in SAMPLES.items():
            sample, folder = make(), tmp_path_factory.mktemp(name)
            bundle = sample.built(folder)
            port, socket = free_port(), tmp_path_factory.mktemp("s") / "s"
            native = _without_graph(bundle, folder / "native")
            stack.callback(_serve(bundle, f"http://127.0.0.1:{port}", "--port", str(port)))
            stack.callback(_serve(native, str(socket), "--socket", str(socket)))
            found[name] = Served(sample, bundle, native, f"http://127.0.0.1:{port}", str(socket))
        yield found


def _without_graph(bundle: Path, into: Path) -> Path:
    shutil.copytree(bundle, into)
    content = json.loads((into / "bundle.json").read_text())
    assert content["onnx"], "the contract compares a compiled model with its own library"
    (into / "bundle.json").write_text(json.dumps({**content, "onnx": None, "engine": "process"}))
    return into


def _serve(bundle: Path, address: str, *where: str) -> Callable[[], None]:
    command = [sys.executable, "-m", "model_server.serve", "--trial", "--bundle", str(bundle), *where]
    process = subprocess.Popen(command)
    by_socket = not address.startswith("http")
    transport = httpx.HTTPTransport(uds=address if by_socket else None)
    with httpx.Client(transport=transport, base_url="http://model" if by_socket else address) as client:
        until_started(process, lambda: client.get("/health/ready").is_success)

    def stop() -> None:
        process.terminate()
        process.wait(20)

    return stop


async def _inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the data plane passed on what it answers itself")


@pytest.fixture
async def api(
    services: BuiltServices, served: dict[str, Served], as_: Callable[..., dict[str, str]]
) -> AsyncIterator[Place]:
    """The data plane on a port, with each model twice: as a graph in it, and in a process behind it."""
    revisions: list[LiveRevision] = []
    for name, one in served.items():
        revisions.append(live(name, one.bundle))
        revisions.append(live(f"{name}{NATIVE}", one.native, engine="process", address=one.socket))

    async def routes() -> RoutingSnapshot:
        return RoutingSnapshot(1, tuple(revisions))

    async def generation() -> int:
        return 1

    gateway = Gateway(_inner, services, routes, generation, nothing_revoked, EveryBuild())
    port = free_port()
    config = uvicorn.Config(
        gateway, port=port, http=PredictionProtocol, log_level="error", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await gateway.start()
    while not server.started:
        await asyncio.sleep(0.01)
    headers = as_("ana@company.com", "data-scientist")
    yield Place(f"http://127.0.0.1:{port}", headers)
    server.should_exit = True
    await task
    await gateway.stop()
