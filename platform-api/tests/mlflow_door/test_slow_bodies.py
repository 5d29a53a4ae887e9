"""An artifact over a slow line arrives whole, however long it takes; whoever says nothing is let go; large ones keep to a pace."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mlops_platform.mlflow_door.pace import Pace

from ..support.door import STORE, Door, running_door

_PATIENCE = 2
_RATE = 2_000_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str, database_url: str) -> Iterator[Door]:
    folder: Path = tmp_path_factory.mktemp("slow-bodies")
    limits = {"MLOPS_REQUEST_BODY_SECONDS": str(_PATIENCE), "MLOPS_ARTIFACT_BYTES_PER_SECOND": str(_RATE)}
    with running_door(folder, mlflow_server, database_url, **limits) as running:
        yield running


def _parts(number: int, pause: float) -> Iterator[bytes]:
    for _ in range(number):
        yield b"x" * 1_000
        time.sleep(pause)


def test_an_upload_that_takes_longer_than_the_longest_pause_arrives(door: Door) -> None:
    token = door.token()
    _, place = door.run(token)
    url = f"{STORE}/{place}/slow"
    assert door.ask("PUT", url, token, content=_parts(12, _PATIENCE / 4)).is_success
    assert len(door.ask("GET", url, token).content) == 12_000


@pytest.mark.parametrize("known", [True, False])
def test_a_body_that_stops_or_that_nobody_takes_is_not_waited_for(door: Door, known: bool) -> None:
    token = door.token()
    _, place = door.run(token)
    parts = urlsplit(door.url)
    credentials = f"Authorization: Bearer {token}\r\n" if known else ""
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        head = f"PUT {STORE}/{place}/never HTTP/1.1\r\nHost: door\r\n{credentials}Content-Length: 1000\r\n\r\nx"
        connection.sendall(head.encode())
        began = time.monotonic()
        while time.monotonic() - began < 30:
            if not known:
                # a byte now and then, after the refusal
                try:
                    connection.sendall(b"x")
                except OSError:
                    break
            connection.settimeout(_PATIENCE / 4)
            try:
                if not connection.recv(65_536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 15 * _PATIENCE
    assert door.ask("GET", f"{STORE}/{place}/never", token).status_code >= 400


def test_large_bodies_keep_to_the_pace_and_small_requests_pass_them(door: Door) -> None:
    token = door.token()
    _, place = door.run(token)
    url = f"{STORE}/{place}/large"
    block = b"x" * 100_000
    began = time.monotonic()
    # longer than the longest pause: that the door waits is not the caller's fault
    assert door.ask("PUT", url, token, content=(block for _ in range(100))).is_success
    assert time.monotonic() - began > 10_000_000 / _RATE - 1
    assert len(door.ask("GET", url, token).content) == 10_000_000


def test_what_was_not_used_for_a_moment_may_be_used_at_once_and_no_more() -> None:
    pace = Pace(1_000)
    assert pace.take(100, now=10.0) == pytest.approx(0.0)
    assert pace.take(100, now=10.0) == pytest.approx(0.1)
    assert pace.take(1_000, now=10.0) == pytest.approx(1.1)
    assert pace.take(100, now=20.0) == pytest.approx(0.0)
