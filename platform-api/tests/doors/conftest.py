"""Three engines as processes over sockets: the graph in the API, a model's process behind it, a cluster's model server."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from .sample import Sample

NATIVE = "-native"


class Served(NamedTuple):
    """One model, its bundle and the one without a graph (the same for a model that is not compiled), and their servers."""

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
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    """Every model of the test's SAMPLES, built once, in two processes: the cluster's, with the graph, and the machine's."""
    found: dict[str, Served] = {}
    with ExitStack() as stack:
        samples = {name: make() for name, make in request.module.SAMPLES.items()}
        folders = {name: tmp_path_factory.mktemp("model") for name in samples}
        for name, sample in samples.items():
            sample.save(folders[name] / "artifact")
        # a build waits for its processes most of the time
        with ThreadPoolExecutor(2) as pool:
            bundles = list(pool.map(lambda name: samples[name].built(folders[name]), samples))
        waiting = []
        for (name, sample), bundle in zip(samples.items(), bundles, strict=True):
            port, socket = free_port(), tmp_path_factory.mktemp("s") / "s"
            native = _without_graph(bundle, folders[name] / "native", compiled=sample.compiled)
            for served, address, *where in (
                (bundle, f"http://127.0.0.1:{port}", "--port", str(port)),
                (native, str(socket), "--socket", str(socket)),
            ):
                process = _serve(served, *where)
                stack.callback(_end, process)
                waiting.append((process, address))
            found[name] = Served(sample, bundle, native, f"http://127.0.0.1:{port}", str(socket))
        for process, address in waiting:
            _wait(process, address)
        yield found


def _without_graph(bundle: Path, into: Path, *, compiled: bool) -> Path:
    """Return the bundle as the model's own library serves it: it has a graph exactly when its sample says so."""
    content = json.loads((bundle / "bundle.json").read_text())
    assert bool(content["onnx"]) == compiled, content["model_name"]
    if not compiled:
        return bundle
    shutil.copytree(bundle, into)
    (into / "bundle.json").write_text(json.dumps({**content, "onnx": None, "engine": "process"}))
    return into


def _serve(bundle: Path, *where: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "model_server.serve", "--trial", "--bundle", str(bundle), *where])


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    by_socket = not address.startswith("http")
    transport = httpx.HTTPTransport(uds=address if by_socket else None)
    with httpx.Client(transport=transport, base_url="http://model" if by_socket else address) as client:
        until_started(process, lambda: client.get("/health/ready").is_success)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


async def _inner(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the data plane passed on what it answers itself")


@pytest.fixture
async def api(
    request: pytest.FixtureRequest,
    services: BuiltServices,
    served: dict[str, Served],
    as_: Callable[..., dict[str, str]],
) -> AsyncIterator[Place]:
    """The data plane on a port, with each model twice: as a graph in it where it has one, and in a process behind it."""
    revisions: list[LiveRevision] = []
    for one in served.values():
        name = one.sample.name
        if one.sample.compiled:
            revisions.append(live(name, one.bundle))
        revisions.append(live(f"{name}{NATIVE}", one.native, engine="process", address=one.socket))

    async def routes() -> RoutingSnapshot:
        return RoutingSnapshot(1, tuple(revisions))

    async def generation() -> int:
        return 1

    # what a test is given for the control plane
    inner = getattr(request.module, "control_plane", _inner)
    gateway = Gateway(inner, services, routes, generation, nothing_revoked, EveryBuild())
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
