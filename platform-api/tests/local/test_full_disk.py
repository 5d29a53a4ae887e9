"""A full disk ends nothing: what dies is started again, stopping is orderly, and what could not be written is written later."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_platform.local import state as states
from mlops_platform.local.events import Event, EventFile
from mlops_platform.local.home import Home
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.watchdog_client import Watchdog

from ..support.disks import Disk, small_disk
from ..support.waiting import eventually
from .conftest import is_alive
from .test_model_host import HOSTED, Runtime
from .test_supervision import SmallPlatform

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="needs root on Linux: mounts a small disk"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", "2m") as disk:
        yield disk


@pytest.fixture
def running(disk: Disk) -> Iterator[SmallPlatform]:
    home = Home.at(disk.folder / "home")
    home.create()
    platform = SmallPlatform(home)
    yield platform
    if platform.process.poll() is None:
        platform.process.kill()
        platform.process.wait()


@needs_root
def test_what_dies_on_a_full_disk_is_started_again_and_its_state_is_written_when_there_is_room(
    running: SmallPlatform, disk: Disk
) -> None:
    first = running.pid("server")
    with disk.full():
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(now := running.of_supervisor()) == 4 and first not in now, 20)
        assert running.pid("server") == first, "the fault itself: the state of before is all there was room for"
    eventually(lambda: running.pid("server") in running.of_supervisor(), 20)
    assert running.state.children["server"].restarts == 1
    assert running.state.phase == "ready"


@needs_root
def test_a_stop_on_a_full_disk_is_orderly(running: SmallPlatform, disk: Disk) -> None:
    everybody = running.everybody()
    with disk.full():
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
    assert not any(is_alive(pid) for pid in everybody)


@needs_root
async def test_the_model_host_goes_on_when_neither_status_nor_event_can_be_written(disk: Disk) -> None:
    runtime = Runtime(disk.folder)
    report = EventFile(disk.folder / "events.jsonl")
    with Watchdog() as watchdog:
        host = ModelHost(disk.folder, disk.folder / "bundles", watchdog, report, [sys.executable, str(HOSTED)])
        host.start()
        try:
            runtime.order("good")
            first = await runtime.is_ready("good")
            with disk.full():
                os.kill(first, signal.SIGKILL)
                await runtime.until(lambda: not is_alive(first))
            await runtime.until(lambda: runtime.status("good")["pid"] not in {None, first})
            assert await runtime.is_ready("good") != first
        finally:
            await host.stop()


@needs_root
def test_a_state_that_could_not_be_written_leaves_the_one_of_before(disk: Disk) -> None:
    path = disk.folder / "state.json"
    states.write(path, states.PlatformState(phase="ready"))
    with disk.full(), pytest.raises(OSError, match="No space left"):
        states.write(path, states.PlatformState(phase="stopped"))
    found = states.read(path)
    assert found is not None
    assert found.phase == "ready"
    assert [entry.name for entry in disk.folder.iterdir()] == ["state.json"]


def test_an_event_that_cannot_be_written_is_said_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = EventFile(tmp_path / "events.jsonl")
    events(Event("ready", "api"))
    kept = json.loads((tmp_path / "events.jsonl").read_text())
    assert kept["name"] == "api"
    (tmp_path / "events.jsonl").unlink()
    (tmp_path / "events.jsonl").mkdir()
    events(Event("restarting", "worker", "worker ended"))
    assert "worker ended (could not be written down" in capsys.readouterr().err
