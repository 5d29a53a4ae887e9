"""What people read when a process cannot start."""

import sys

import pytest

from mlops_platform.local.events import Event
from mlops_platform.local.home import Home
from mlops_platform.local.process import ProcessSpec
from mlops_platform.local.readiness import log_says
from mlops_platform.local.supervised import ProcessFailed
from mlops_platform.local.supervisor import Supervisor
from mlops_platform.local.watchdog_client import Watchdog


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def test_a_child_that_ends_before_it_is_ready_is_quoted(home: Home) -> None:
    events: list[Event] = []
    with Watchdog() as watchdog:
        supervisor = Supervisor(home, watchdog, events.append)
        with pytest.raises(ProcessFailed, match=r"api ended with code 3 before it was ready(.|\n)*no such setting"):
            await supervisor.start(
                ProcessSpec("api", _python("print('no such setting'); raise SystemExit(3)"), ready=log_says("up"))
            )
        await supervisor.stop()


async def test_a_child_that_stays_silent_is_given_up_and_ended(home: Home) -> None:
    with Watchdog() as watchdog:
        supervisor = Supervisor(home, watchdog, lambda _event: None)
        child = ProcessSpec("api", _python("import time; time.sleep(60)"), ready=log_says("up"), ready_seconds=0.5)
        with pytest.raises(ProcessFailed, match=r"api was not ready after 0.5 s"):
            await supervisor.start(child)
        pid = supervisor.state.children["api"].pid
        await supervisor.stop()
    assert pid is not None
    from .conftest import is_alive

    assert not is_alive(pid)


async def test_a_task_that_fails_is_quoted(home: Home) -> None:
    with Watchdog() as watchdog:
        supervisor = Supervisor(home, watchdog, lambda _event: None)
        with pytest.raises(ProcessFailed, match=r"migrations ended with code 1"):
            await supervisor.run(ProcessSpec("migrations", _python("raise SystemExit('bad revision')")))
        await supervisor.stop()


async def test_a_program_that_does_not_exist_is_named(home: Home) -> None:
    with Watchdog() as watchdog:
        supervisor = Supervisor(home, watchdog, lambda _event: None)
        with pytest.raises(ProcessFailed, match="no-such-program"):
            await supervisor.start(ProcessSpec("api", ["no-such-program"], ready=log_says("up")))
        await supervisor.stop()


async def test_a_restarted_child_is_not_called_ready_by_the_words_of_its_past(home: Home) -> None:
    home.log("worker").write_text("worker started\n")
    with Watchdog() as watchdog:
        supervisor = Supervisor(home, watchdog, lambda _event: None)
        child = ProcessSpec(
            "worker", _python("import time; time.sleep(60)"), ready=log_says("started"), ready_seconds=0.5
        )
        with pytest.raises(ProcessFailed):
            await supervisor.start(child)
        await supervisor.stop()
