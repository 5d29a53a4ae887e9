"""One bad order stops no other, a host that was killed leaves nothing behind, and a model process sees no secret."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_platform.adapters.local.runtime import socket_path
from mlops_platform.local import model_host
from mlops_platform.local.events import Event
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.state import created_at
from mlops_platform.local.watchdog_client import Watchdog, dismiss

from ..support.waiting import eventually
from .conftest import is_alive

HOSTED = Path(__file__).parents[1] / "contracts" / "hosted_model.py"


class Runtime:
    """The folder a host works in, and what it reported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        for name in ("specs", "status"):
            (folder / name).mkdir()

    def order(self, name: str, **more: Any) -> None:
        content = {"model_name": name, "version": 1, "bundle": "b", "environment_vars": {}}
        content |= {"statement": "statement-r.json", "public_keys": "", **more}
        self.write(name, json.dumps(content))

    def write(self, name: str, text: str) -> None:
        fresh = self.folder / "specs" / f"{name}.new"
        fresh.write_text(text)
        fresh.replace(fresh.with_suffix(".json"))

    def status(self, name: str) -> dict[str, Any]:
        path = self.folder / "status" / f"{name}.json"
        return dict(json.loads(path.read_text())) if path.exists() else {"state": None}

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)

    async def is_ready(self, name: str) -> int:
        await self.until(lambda: self.status(name)["state"] == "ready")
        return int(self.status(name)["pid"])

    @asynccontextmanager
    async def hosted(self) -> AsyncIterator[ModelHost]:
        with Watchdog() as watchdog:
            host = ModelHost(
                self.folder, self.folder / "bundles", watchdog, self.events.append, [sys.executable, str(HOSTED)]
            )
            host.start()
            try:
                yield host
            finally:
                await host.stop()


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"bundle": "..", "environment_vars": {}}', '"\\ud800"'])
async def test_an_order_that_cannot_be_read_has_failed_and_stops_no_other(runtime: Runtime, text: str) -> None:
    runtime.write("bad", text)
    runtime.order("good")
    async with runtime.hosted():
        await runtime.is_ready("good")
        await runtime.until(lambda: runtime.status("bad")["state"] == "failed")
        assert "cannot be read" in runtime.status("bad")["message"]
        runtime.order("bad")
        await runtime.is_ready("bad")


async def test_a_killed_model_process_is_started_again_and_reported(runtime: Runtime) -> None:
    runtime.order("churn")
    async with runtime.hosted():
        first = await runtime.is_ready("churn")
        os.kill(first, signal.SIGKILL)
        await runtime.until(lambda: runtime.status("churn")["restarts"] == 1)
        assert await runtime.is_ready("churn") != first
    assert [event.name for event in runtime.events if event.kind == "restarting"] == ["model churn v1"]


async def test_stopping_ends_every_process_and_the_next_host_starts_what_is_ordered(runtime: Runtime) -> None:
    runtime.order("churn")
    async with runtime.hosted():
        first = await runtime.is_ready("churn")
    assert not is_alive(first)
    assert runtime.status("churn")["state"] is None
    async with runtime.hosted():
        await runtime.is_ready("churn")


async def test_what_a_host_left_that_was_killed_with_its_watchdog_is_ended_and_a_namesake_is_not(
    runtime: Runtime,
) -> None:
    def left_by_another(name: str, seconds_off: float, home: Path | None = None) -> "asyncio.subprocess.Process":
        created = (created_at(processes[name].pid) or 0.0) - seconds_off
        socket = str(socket_path(home or runtime.folder, name))
        text = json.dumps({"state": "ready", "pid": processes[name].pid, "process_started": created, "socket": socket})
        (runtime.folder / "status" / f"{name}.json").write_text(text)
        return processes[name]

    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    processes = {
        name: await asyncio.create_subprocess_exec(*sleeping, start_new_session=True)
        for name in ("ours", "namesake", "theirs")
    }
    ours, namesake = left_by_another("ours", 0), left_by_another("namesake", 100)
    theirs = left_by_another("theirs", 0, runtime.folder.with_name("the home this one was copied from"))
    (runtime.folder / "status" / "torn.json").write_text('{"state": "rea')
    try:
        async with runtime.hosted():
            assert await asyncio.wait_for(ours.wait(), 20) == -signal.SIGKILL
            assert (namesake.returncode, theirs.returncode) == (None, None)
            assert list((runtime.folder / "status").glob("*.json")) == []
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


def killed_host(runtime: Runtime, successor_seconds: float) -> psutil.Process:
    """A host that has started the model `churn` and was killed; its watchdog is returned."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom mlops_platform.local.model_host import ModelHost\n"
        "from mlops_platform.local.watchdog_client import Watchdog\n"
        "async def main():\n"
        f"    watchdog = Watchdog({successor_seconds})\n"
        f"    host = ModelHost(Path({str(runtime.folder)!r}), Path({str(runtime.folder / 'bundles')!r}), watchdog, print, {[sys.executable, str(HOSTED)]!r})\n"
        "    host.start()\n    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    host = psutil.Popen([sys.executable, "-c", script])
    try:
        eventually(lambda: runtime.status("churn")["state"] == "ready", 30)
        watchdog = next(child for child in host.children() if "watch" in child.cmdline())
    finally:
        host.kill()
        host.wait()
    return watchdog


def test_a_killed_host_leaves_no_model_process(runtime: Runtime) -> None:
    runtime.order("churn")
    killed_host(runtime, 0)
    eventually(lambda: not is_alive(runtime.status("churn")["pid"]), 25)


async def test_a_bundle_that_comes_back_is_served_and_one_that_goes_ends_no_process(runtime: Runtime) -> None:
    bundle = runtime.folder / "bundles" / "refused"
    runtime.order("churn", bundle="/the/home/of/before/bundles/refused")
    runtime.order("other")
    (runtime.folder / "bundles" / "b").mkdir(parents=True)
    (runtime.folder / "bundles" / "b" / "bundle.json").write_text("{}")
    async with runtime.hosted():
        await runtime.until(lambda: runtime.status("churn")["state"] == "failed")
        other = await runtime.is_ready("other")
        shutil.rmtree(runtime.folder / "bundles" / "b")
        bundle.mkdir(parents=True)
        (bundle / "bundle.json").write_text("{}")
        await runtime.is_ready("churn")
        assert await runtime.is_ready("other") == other


async def test_the_next_host_takes_over_what_a_killed_one_ran(runtime: Runtime) -> None:
    runtime.order("churn")
    watchdog = killed_host(runtime, 60)
    dismiss(watchdog.pid, watchdog.create_time())
    before = runtime.status("churn")["pid"]
    (runtime.folder / "scratch" / "churn" / "cache").touch()
    async with runtime.hosted():
        runtime.order("other")
        await runtime.is_ready("other")
        assert await runtime.is_ready("churn") == before
        assert (runtime.folder / "scratch" / "churn" / "cache").exists(), "the folder of a process that goes on"
        runtime.order("churn", version=2)
        await runtime.until(lambda: runtime.status("churn").get("pid") not in {None, before})
        assert not is_alive(before)


async def test_a_model_process_that_is_wanted_otherwise_now_is_not_taken_over(runtime: Runtime) -> None:
    runtime.order("churn")
    watchdog = killed_host(runtime, 60)
    dismiss(watchdog.pid, watchdog.create_time())
    before = runtime.status("churn")["pid"]
    runtime.order("churn", environment_vars={"MODEL_THRESHOLD": 0.5})
    async with runtime.hosted():
        await runtime.until(lambda: runtime.status("churn").get("pid") not in {None, before})
        assert not is_alive(before)


async def test_a_model_process_sees_its_own_variables_and_none_of_the_platforms(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://secret")
    runtime.order(
        "churn", environment_vars={"MODEL_THRESHOLD": 0.5, "LD_PRELOAD": "/evil.so", "MODEL_SERVER_DIGEST": "x"}
    )
    async with runtime.hosted():
        environment = psutil.Process(await runtime.is_ready("churn")).environ()
        assert environment["MODEL_THRESHOLD"] == "0.5"
        assert not {"LD_PRELOAD", "MODEL_SERVER_DIGEST"} & environment.keys()
        assert "MLOPS_DATABASE_URL" not in environment


async def test_a_host_that_cannot_write_goes_on_when_it_can(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(28, "No space left on device")

    def refuse(_path: Path, _text: str) -> None:
        raise full

    monkeypatch.setattr(model_host, "_ERROR_SECONDS", 0.05)
    runtime.order("churn")
    with monkeypatch.context() as patch:
        patch.setattr(model_host, "replace_text", refuse)
        async with runtime.hosted():
            await runtime.until(lambda: any("No space left" in event.sentence for event in runtime.events))
            patch.undo()
            await runtime.is_ready("churn")
