"""Waiting for what happens elsewhere: until it is so, or with a sentence when it is not in time."""

import asyncio
import subprocess
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")
_PAUSE = 0.05
# how much slower a machine may be than the one the seconds below were chosen on; what happens in time waits no longer
PATIENCE = 4


def eventually(condition: Callable[[], T], seconds: float = 60, what: str | Callable[[], object] = "") -> T:
    """Return the condition's first true value. Raises AssertionError with `what` when there is none in time."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen in {seconds * PATIENCE} s: {what() if callable(what) else what}")
        time.sleep(_PAUSE)
    return found


async def eventually_async(condition: Callable[[], Awaitable[T]], seconds: float = 60, what: str = "") -> T:
    """Return the condition's first true value; other tasks of this loop go on meanwhile."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (found := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen in {seconds * PATIENCE} s: {what}")
        await asyncio.sleep(_PAUSE)
    return found


def answers_well(url: str) -> bool:
    """Return whether an http:// URL answers with success; cheaper to ask again and again than by a client with TLS."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status < 300)


def until_started(
    process: "subprocess.Popen[bytes]", ready: Callable[[], bool], log: Path | None = None, seconds: float = 90
) -> None:
    """Wait until a server that was just started answers; fail at once, with the end of its log, when it has ended.

    When it does not answer in time it is killed: nobody else would.
    """

    def said() -> str:
        return log.read_text(errors="replace")[-2_000:] if log is not None else ""

    def answers() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}: {said()}"
        try:
            return ready()
        except (OSError, httpx.TransportError):
            return False

    try:
        eventually(answers, seconds, said)
    except AssertionError:
        process.kill()
        process.wait(10)
        raise
