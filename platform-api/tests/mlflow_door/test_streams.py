"""Artifacts of any size pass in the same memory, and a part is never taken for the whole."""

import hashlib
import socket
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from ..support.door import STORE, Door
from ..support.waiting import eventually

_MEGABYTE = 1_000_000
# buffers of two connections, and what the allocator keeps: far from the size of what passes
_MAY_GROW = 60 * _MEGABYTE


@pytest.fixture
def door(mlflow_door: Door) -> Door:
    return mlflow_door


def _content(megabytes: int) -> Iterator[bytes]:
    block = bytes(range(256)) * (_MEGABYTE // 256)
    for _ in range(megabytes):
        yield block


def _there_and_back(door: Door, megabytes: int) -> None:
    token = door.token()
    _, place = door.run(token)
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{door.url}{STORE}/{place}/large-{uuid.uuid4().hex}"
    process = psutil.Process(door.process.pid)
    before = most = process.memory_info().rss
    sent = hashlib.sha256()

    def watched() -> Iterator[bytes]:
        nonlocal most
        for number, block in enumerate(_content(megabytes)):
            sent.update(block)
            if number % 16 == 0:
                most = max(most, process.memory_info().rss)
            yield block

    with httpx.Client(headers=headers, timeout=300, trust_env=False) as client:
        assert client.put(url, content=watched()).is_success
        received, size = hashlib.sha256(), 0
        with client.stream("GET", url) as answer:
            assert answer.is_success
            for number, block in enumerate(answer.iter_bytes(_MEGABYTE)):
                received.update(block)
                size += len(block)
                if number % 16 == 0:
                    most = max(most, process.memory_info().rss)
    assert received.digest() == sent.digest()
    assert size >= (megabytes - megabytes // 100) * _MEGABYTE
    assert most - before < _MAY_GROW, f"the door grew by {(most - before) / 1e6:.0f} MB"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quarter_of_a_gigabyte_passes_both_ways_in_flat_memory(door: Door) -> None:
    _there_and_back(door, 256)


@pytest.mark.whole("moves a gigabyte twice, which takes a minute on a busy machine")
@pytest.mark.timeout(1800)
def test_a_gigabyte_passes_both_ways_in_flat_memory(door: Door) -> None:
    _there_and_back(door, 1_000)


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_an_upload_that_breaks_off_is_no_artifact(door: Door) -> None:
    token = door.token()
    _, place = door.run(token)
    parts = urlsplit(door.url)
    for framing, part in (("Content-Length: 1000", b"x" * 10), ("Transfer-Encoding: chunked", b"a\r\nxxxxxxxxxx\r\n")):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            head = (
                f"PUT {STORE}/{place}/part HTTP/1.1\r\nHost: door\r\nAuthorization: Bearer {token}\r\n{framing}\r\n\r\n"
            )
            connection.sendall(head.encode() + part)
        # the next whole request shows that the door is done with the broken one
        assert door.ask("PUT", f"{STORE}/{place}/whole", token, content=b"y").is_success
        eventually(lambda: door.ask("GET", "/health").is_success)
        assert door.ask("GET", f"{STORE}/{place}/part", token).status_code >= 400
