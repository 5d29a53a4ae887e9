"""A kubelet for one machine: keeps one model process per specification alive.

`python -m mlops_platform.local.model_host --runtime-dir DIR` reads DIR/specs/*.json (what should run), keeps a
`model_server.serve` process for each, restarts what dies with a growing pause, and writes DIR/status/*.json (what does).
It ends its children when it is told to stop and when its parent dies; leftovers of a killed host are ended at start.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import structlog

from mlops_platform.telemetry import logging as telemetry_logging

log = structlog.get_logger(__name__)

_TICK = 0.25
# a process that answers is asked less often than one that is starting; its death is seen at every tick
_READY_PAUSE = 2.0
_LONGEST_PAUSE = 30.0
# the process says by this exit code that its bundle is not what was approved: waiting will not mend that
_REFUSED = 4
# a process that lives this long is considered well again
_WELL_AFTER = 60.0


@dataclass
class _Model:
    """One specification and the process that serves it."""

    spec: dict[str, Any]
    process: asyncio.subprocess.Process | None = None
    started_at: float = 0.0
    restarts: int = 0
    start_after: float = 0.0
    ask_after: float = 0.0
    state: str = "starting"
    message: str = "starting"
    written: str = field(default="", repr=False)


class ModelHost:
    """The loop that compares specifications with processes."""

    def __init__(self, runtime_dir: Path, command: list[str] | None = None) -> None:
        self._runtime = runtime_dir
        self._command = command or [sys.executable, "-m", "model_server.serve"]
        self._models: dict[str, _Model] = {}
        for name in ("specs", "status", "s", "logs"):
            (runtime_dir / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep what is specified alive until `stop` is set or the parent is gone."""
        self._end_leftovers()
        parent = os.getppid()
        while not stop.is_set() and os.getppid() == parent:
            await self._pass()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TICK)
        await asyncio.gather(*(self._end(model) for model in self._models.values()))

    async def _pass(self) -> None:
        specs = self._read_specs()
        for revision_id in [known for known in self._models if known not in specs]:
            await self._end(self._models.pop(revision_id))
            (self._runtime / "status" / f"{revision_id}.json").unlink(missing_ok=True)
        for revision_id, spec in specs.items():
            model = self._models.get(revision_id)
            if model is not None and model.spec != spec:
                await self._end(model)
                model = None
            if model is None:
                model = self._models[revision_id] = _Model(spec)
            await self._keep(model)
            self._write_status(revision_id, model)

    def _read_specs(self) -> dict[str, dict[str, Any]]:
        found = {}
        for path in (self._runtime / "specs").glob("*.json"):
            # a file removed between the listing and the reading is simply not specified any more
            with contextlib.suppress(FileNotFoundError):
                found[path.stem] = json.loads(path.read_text())
        return found

    async def _keep(self, model: _Model) -> None:
        if model.process is None:
            if time.monotonic() >= model.start_after:
                await self._start(model)
            return
        if model.process.returncode is not None:
            self._died(model)
            return
        if model.state == "ready" and time.monotonic() < model.ask_after:
            return
        model.ask_after = time.monotonic() + _READY_PAUSE
        if await _answers(model.spec["socket"]):
            model.state, model.message = "ready", "answers"
            if time.monotonic() - model.started_at > _WELL_AFTER:
                model.restarts = 0
        elif model.state == "ready":
            model.state, model.message = "starting", "does not answer"

    def _died(self, model: _Model) -> None:
        assert model.process is not None
        code = model.process.returncode
        model.process = None
        if code == _REFUSED:
            model.state, model.message, model.start_after = "failed", self._last_words(model), float("inf")
            return
        pause = 0.0 if model.restarts == 0 else min(_LONGEST_PAUSE, 0.5 * 2**model.restarts)
        model.restarts += 1
        model.start_after = time.monotonic() + pause
        model.state, model.message = "starting", f"ended with {code}; start {model.restarts + 1} in {pause:g} s"
        log.warning("model process ended", revision=model.spec["revision_id"], code=code, again_in_seconds=pause)

    def _last_words(self, model: _Model) -> str:
        lines = self._log(model).read_text(errors="replace").strip().splitlines()
        return lines[-1][-500:] if lines else "the model server refused the bundle"

    def _log(self, model: _Model) -> Path:
        return self._runtime / "logs" / f"{model.spec['revision_id']}.log"

    async def _start(self, model: _Model) -> None:
        spec = model.spec
        _remove(spec["socket"])
        arguments = ["--bundle", spec["bundle"], "--socket", spec["socket"], "--warm-explanations"]
        # nothing of the platform's own settings: a model process knows no database, no key, no token
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV"}
        }
        with self._log(model).open("ab") as output:
            model.process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                env={**inherited, **spec["environment_vars"]},
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        model.started_at, model.state, model.message = time.monotonic(), "starting", "loading the model"

    async def _end(self, model: _Model) -> None:
        process = model.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        _remove(model.spec["socket"])

    def _write_status(self, revision_id: str, model: _Model) -> None:
        process = model.process
        content = {
            "state": model.state,
            "message": model.message,
            "socket": model.spec["socket"],
            "restarts": model.restarts,
            "pid": process.pid if process else None,
            "process_started": _process_start(process.pid) if process else None,
        }
        text = json.dumps(content)
        if text == model.written:
            return
        path = self._runtime / "status" / f"{revision_id}.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(path)
        model.written = text

    def _end_leftovers(self) -> None:
        """End model processes of a host that was killed: the same pid and the same start time, never a namesake."""
        for path in (self._runtime / "status").glob("*.json"):
            with contextlib.suppress(json.JSONDecodeError, KeyError, psutil.NoSuchProcess, ProcessLookupError):
                status = json.loads(path.read_text())
                if status["pid"] and status["process_started"] == _process_start(status["pid"]):
                    log.info("ending a leftover model process", pid=status["pid"])
                    os.killpg(status["pid"], signal.SIGKILL)
            path.unlink(missing_ok=True)


def _remove(socket: str) -> None:
    Path(socket).unlink(missing_ok=True)


async def _answers(socket: str) -> bool:
    try:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket), timeout=2) as client:
            return (await client.get("http://model/health/ready")).is_success
    except httpx.HTTPError:
        return False


def _process_start(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="mlops_platform.local.model_host", description=__doc__)
    parser.add_argument("--runtime-dir", type=Path, required=True)
    options = parser.parse_args()
    telemetry_logging.configure("model-host")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await ModelHost(options.runtime_dir.absolute()).run(stop)


if __name__ == "__main__":
    asyncio.run(_main())
