"""Ways to know that a process is ready, without importing an HTTP library into the supervisor."""

import asyncio
import contextlib
import http.client
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from mlops_platform.kit.heartbeat import heard
from mlops_platform.local.process import Process

# a heartbeat comes every second
_FRESH_SECONDS = 5.0


def http_status(url: str, timeout_seconds: float = 5, bearer: str = "") -> tuple[int, bytes] | None:
    """Return status and body of a GET, None when nothing answers; `bearer` is sent as its token."""
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path or "/", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers(url: str, timeout_seconds: float = 20, bearer: str = "") -> Callable[[Process], Awaitable[bool]]:
    """Ready when the URL answers 200."""

    async def ready(_process: Process) -> bool:
        answer = await asyncio.to_thread(http_status, url, timeout_seconds, bearer)
        return answer is not None and answer[0] == http.HTTPStatus.OK

    return ready


def says_anything(url: str, timeout_seconds: float = 5) -> Callable[[Process], Awaitable[bool]]:
    """Alive when the URL is answered at all: by its event loop, however busy the rest is."""

    async def alive(_process: Process) -> bool:
        return await asyncio.to_thread(http_status, url, timeout_seconds) is not None

    return alive


def beats(heartbeat: Path) -> Callable[[Process], Awaitable[bool]]:
    """Ready when this start of the process touched its file of heartbeats, just now."""

    async def ready(process: Process) -> bool:
        return heard(heartbeat, process.since, _FRESH_SECONDS)

    return ready


def log_says(words: str) -> Callable[[Process], Awaitable[bool]]:
    """Ready when this start of the process wrote the words."""

    async def ready(process: Process) -> bool:
        with process.log.open("rb") as stream:
            stream.seek(process.log_begins)
            return words.encode() in stream.read()

    return ready


def socket_answers(socket: Path, path: str, timeout_seconds: float = 2) -> Callable[[Process], Awaitable[bool]]:
    """Ready when a GET over the Unix socket answers 200."""

    async def ready(_process: Process) -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                reader, writer = await asyncio.open_unix_connection(socket)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n".encode())
                    return (await reader.readline()).split()[1:2] == [b"200"]
                finally:
                    writer.close()
        return False

    return ready
