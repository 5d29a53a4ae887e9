"""The doctor looks at the ports of the platform that runs, and tells its own processes from others."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from mlops_platform.local import state as states
from mlops_platform.local.doctor import DEFAULT_PORTS, Finding, examine
from mlops_platform.local.home import Home
from mlops_platform.local.ports import free_port
from mlops_platform.local.state import ChildState, PlatformState

_LISTEN = """import socket, sys
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
print(server.getsockname()[1], flush=True)
sys.stdin.read()"""
_NOTHING_ASKED: dict[str, int | None] = dict.fromkeys(DEFAULT_PORTS)


@pytest.fixture
def listener() -> Iterator[tuple[int, int]]:
    """A child of this process that listens: (port, pid)."""
    with subprocess.Popen(
        [sys.executable, "-c", _LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.communicate("")


@pytest.fixture
def running(home: Home) -> Iterator[Callable[..., PlatformState]]:
    """A home that is held by this process, whose state says which server has which port."""
    with home.locked():

        def write(supervisor: int, **servers: int) -> PlatformState:
            children = {name: ChildState(name, url=f"http://127.0.0.1:{port}") for name, port in servers.items()}
            state = PlatformState("ready", supervisor, states.created_at(supervisor), children=children)
            states.write(home.run / "state.json", state)
            return state

        yield write


def _ports(home: Home, asked: dict[str, int | None]) -> dict[str, Finding]:
    return {one.check: one for one in examine(home, asked) if one.check.startswith("port ")}


def test_a_running_platforms_ports_are_checked_and_not_the_usual_ones(
    home: Home, running: Callable[..., PlatformState], listener: tuple[int, int]
) -> None:
    port, pid = listener
    silent = free_port()
    running(os.getpid(), api=port, **{"mlflow-door": silent})
    found = _ports(home, _NOTHING_ASKED)
    assert set(found) == {f"port {port}", f"port {silent}"}
    own = found[f"port {port}"]
    assert (own.verdict, f"pid {pid}" in own.found, "own api" in own.found) == ("ok", True, True)
    assert (found[f"port {silent}"].verdict, "mlflow" in found[f"port {silent}"].found) == ("warn", True)


def test_a_stranger_on_a_running_platforms_port_is_named(
    home: Home, running: Callable[..., PlatformState], listener: tuple[int, int]
) -> None:
    port, pid = listener
    # the supervisor is a process that did not start the listener
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as supervisor:
        running(supervisor.pid, api=port)
        found = _ports(home, _NOTHING_ASKED)[f"port {port}"]
        supervisor.communicate(b"")
    assert found.verdict == "fail"
    assert f"pid {pid}" in found.found
    assert "api" in found.found


def test_a_supervisor_that_died_owns_nothing(
    home: Home, running: Callable[..., PlatformState], listener: tuple[int, int]
) -> None:
    state = running(os.getpid(), api=listener[0])
    # the number is in use again, by another process
    state.supervisor_created = 1.0
    states.write(home.run / "state.json", state)
    assert _ports(home, _NOTHING_ASKED)[f"port {listener[0]}"].verdict == "fail"


def test_a_port_that_is_asked_for_is_looked_at_too(
    home: Home, running: Callable[..., PlatformState], listener: tuple[int, int]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        running(os.getpid(), api=listener[0], **{"mlflow-door": free_port()})
        found = _ports(home, {**_NOTHING_ASKED, "--mlflow-port": taken})
    assert set(found) == {f"port {listener[0]}", f"port {taken}"}
    assert (found[f"port {taken}"].verdict, "--mlflow-port" in found[f"port {taken}"].todo) == ("fail", True)


def test_without_a_platform_the_usual_ports_are_checked(home: Home) -> None:
    assert set(_ports(home, _NOTHING_ASKED)) == {f"port {port}" for port in DEFAULT_PORTS.values()}
