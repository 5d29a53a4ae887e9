"""A built model under requests of its own example, in the model server that would serve it, before anything is deployed."""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import anyio
import httpx
import orjson
import structlog

from mlops_platform.checks.policy import Figures, figures
from mlops_platform.policy.definition import PerformanceLimits
from model_server.contract.known_row import EXAMPLE
from model_server.libraries.found import for_bundle, program
from model_server.refusals import Refused
from model_server.sandbox import seatbelt
from model_server.sandbox.protections import MODE_VARIABLE, mode_of
from model_server.template.spawner import Started, end, spawner

log = structlog.get_logger(__name__)

_START_SECONDS = 60
_ANSWER_SECONDS = 10
_SMOKE_ROWS = 5
# nothing of the platform's own settings: a model process knows no database, no key, no token
_INHERITED = frozenset({"PATH", "LANG"})


class TrialFailed(Exception):
    """The model server did not come up, or there is nothing to ask it."""


def read_example(bundle: Path) -> dict[str, Any] | None:
    """Return the rows of the model's own example ({columns, rows, source}), or None when it was logged without."""
    path = bundle / EXAMPLE
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


async def measure(bundle: Path, limits: PerformanceLimits, environments: Path) -> Figures:
    """Start the model server on the bundle, warm it up and time one request after the other. Raises TrialFailed."""
    example = await anyio.to_thread.run_sync(read_example, bundle)
    if example is None:
        raise TrialFailed("the version has no input example to ask with; log it with input_example=")
    bodies = [orjson.dumps({"columns": example["columns"], "rows": [row]}) for row in example["rows"]]
    async with _served(bundle, environments) as client:
        for number in range(limits.warm_up):
            await _ask(client, bodies[number % len(bodies)])
        answered: list[float] = []
        errors = 0
        for number in range(limits.requests):
            began = time.perf_counter()
            if await _ask(client, bodies[number % len(bodies)]):
                answered.append(time.perf_counter() - began)
            else:
                errors += 1
    return figures(answered, errors)


async def answer_once(bundle: Path, environments: Path) -> tuple[int, Any]:
    """Start the model server on the bundle and ask it rows of its own example; return how many, and its predictions.

    Raises TrialFailed, also when the rows are not answered.
    """
    example = await anyio.to_thread.run_sync(read_example, bundle)
    if example is None:
        raise TrialFailed("the version has no input example to ask with; log it with input_example=")
    rows = example["rows"][:_SMOKE_ROWS]
    body = orjson.dumps({"columns": example["columns"], "rows": rows})
    async with _served(bundle, environments) as client:
        try:
            answer = await client.post("/predict", content=body, headers={"content-type": "application/json"})
            content = answer.json() if answer.is_success else None
        except (httpx.HTTPError, ValueError) as error:
            raise TrialFailed("the model server did not answer its own example") from error
    if not isinstance(content, dict):
        raise TrialFailed(f"the model server refused its own example: status {answer.status_code}")
    return len(rows), content.get("prediction")


async def explain_once(bundle: Path, environments: Path) -> tuple[bool, str]:
    """Start the model server on the bundle and ask it to explain a row of its own example; return whether it did, and how or why not.

    Raises TrialFailed.
    """
    example = await anyio.to_thread.run_sync(read_example, bundle)
    if example is None:
        raise TrialFailed("there is no input example to explain")
    body = orjson.dumps({"columns": example["columns"], "rows": example["rows"][:1]})
    async with _served(bundle, environments) as client:
        try:
            # the first explanation imports its library, which takes seconds
            answer = await client.post(
                "/explain", content=body, headers={"content-type": "application/json"}, timeout=_START_SECONDS
            )
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise TrialFailed("the model server did not explain its own example") from error
    if answer.is_success:
        return True, f"SHAP ({content['algorithm']}). {content['background']['detail']}"
    return False, str(content.get("error"))


async def _ask(client: httpx.AsyncClient, body: bytes) -> bool:
    try:
        answer = await client.post("/predict", content=body, headers={"content-type": "application/json"})
    except httpx.HTTPError:
        return False
    return answer.is_success


@asynccontextmanager
async def _served(bundle: Path, environments: Path) -> AsyncIterator[httpx.AsyncClient]:
    # the system's folder for temporary files: a Unix socket's path may have about a hundred characters
    folder = Path(tempfile.mkdtemp(prefix="mlops-trial-"))
    socket = folder / "s"
    variables = {name: value for name, value in os.environ.items() if name in _INHERITED}
    try:
        command = await anyio.to_thread.run_sync(_command, bundle, folder, environments)
    except TrialFailed:
        await anyio.to_thread.run_sync(shutil.rmtree, folder)
        raise
    with tempfile.TemporaryFile() as said:
        start = partial(
            spawner().spawn,
            command,
            {**variables, MODE_VARIABLE: mode_of(os.environ)},
            folder,
            errors=said.fileno(),
        )
        process = await anyio.to_thread.run_sync(start)
        try:
            transport = httpx.AsyncHTTPTransport(uds=str(socket))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://model", timeout=_ANSWER_SECONDS
            ) as client:
                await _until_ready(process, said, client)
                yield client
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(end, process)
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


def _command(bundle: Path, folder: Path, environments: Path) -> list[str]:
    """The model server as it would serve: it confines itself before it loads the model. Raises TrialFailed."""
    scratch, socket = folder / "scratch", folder / "s"
    scratch.mkdir(mode=0o700)
    # nobody has agreed to it yet: that is what the figures are for
    try:
        libraries = for_bundle(environments, bundle)
    except (Refused, OSError, ValueError) as error:
        raise TrialFailed(str(error)) from error
    command = [*program("model_server.serve", libraries), "--trial", "--bundle", str(bundle.absolute())]
    command += ["--socket", str(socket), "--scratch", str(scratch)]
    readable = [bundle.absolute(), *([] if libraries is None else [libraries.folder])]
    return seatbelt.under(command, readable, scratch, socket)


async def _until_ready(process: Started, said: IO[bytes], client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise TrialFailed(f"the model server ended: {lines[-1][-300:] if lines else 'without a word'}")
        try:
            if (await client.get("/health/ready")).is_success:
                return
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
    raise TrialFailed(f"the model server was not ready after {_START_SECONDS} s")
