"""A listening socket that is the host's: who connects wakes the process, which leaves when nobody asks it anything.

The process inherits the socket and accepts from it; while there is none, connections wait in it. The process says that it answers
by a heartbeat in a pipe: a probe over the socket would wake it.
"""

import asyncio
import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlops_platform.local.process import AdoptedProcess, Process, ProcessSpec
from mlops_platform.local.readiness import socket_answers

_BACKLOG = 1_024
# a heartbeat comes every second; for this long one that was heard says that the process answers
FRESH_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_LONGEST_HEAD = 1 << 16


class Activation:
    """The socket of one process that runs when it is wanted. All methods belong to one event loop."""

    def __init__(self, path: Path, idle_seconds: float, *, proven: bool = False) -> None:
        """`proven`: it has shown before that it starts and answers, so it need not be started to know."""
        self.proven = proven
        self._path = path
        self._idle_seconds = idle_seconds
        self._listening: socket.socket | None = None
        self._beats: int | None = None
        self._heard = 0.0
        self._answering: set[asyncio.Task[None]] = set()

    def open(self) -> socket.socket:
        """Listen, for this user only, unless it does already. Raises OSError."""
        if self._listening is not None and _is_shut(self._listening):
            # by the process, which shares it: what a model does to its own socket is over with the model
            self._listening.close()
            self._listening = None
        if self._listening is None:
            # left behind by a host or a process that was killed
            self._path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                listening.bind(str(self._path))
                listening.listen(_BACKLOG)
            except OSError:
                listening.close()
                raise
            finally:
                os.umask(before)
            self._listening = listening
        # the process could have changed it; no accept of ours may wait
        self._listening.setblocking(False)
        return self._listening

    def close(self) -> None:
        """Stop listening. Who waits is told that nobody listens."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self._path.unlink(missing_ok=True)
        self._forget_beats()

    @contextmanager
    def lent(self, spec: ProcessSpec) -> Iterator[ProcessSpec]:
        """Return the specification of one start, with the descriptors it inherits. Raises OSError."""
        listening = self.open().fileno()
        self._forget_beats()
        self._beats, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        words = [
            "--listening",
            str(listening),
            "--heartbeat",
            str(writing),
            "--idle-seconds",
            f"{self._idle_seconds:g}",
        ]
        try:
            yield replace(spec, argv=[*spec.argv, *words], keep=(listening, writing))
        finally:
            os.close(writing)

    async def answers(self, process: Process) -> bool:
        """Whether the process answers: by its heartbeat; one of an earlier host has its socket for itself, and is asked."""
        if isinstance(process, AdoptedProcess):
            return await socket_answers(self._path, "/health/ready", _ANSWER_SECONDS)(process)
        if self._beats is not None:
            with contextlib.suppress(BlockingIOError):
                if os.read(self._beats, 1 << 16):
                    self._heard = time.monotonic()
        return time.monotonic() - self._heard < FRESH_SECONDS

    async def wanted(self) -> None:
        """Return when somebody connects. Raises OSError."""
        listening, loop = self.open(), asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_reader(listening, came.set)
        try:
            await came.wait()
        finally:
            loop.remove_reader(listening)

    async def refuse(self, sentence: str) -> None:
        """Tell everybody who connects that there is no process, and why, until this is cancelled. Raises OSError."""
        content = json.dumps({"error": sentence, "reason": "no_process"}).encode()
        head = (
            f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        )

        said = f"{head}Connection: close\r\n\r\n".encode() + content
        listening, loop = self.open(), asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            task = asyncio.create_task(_answer(connection, said))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def _forget_beats(self) -> None:
        self._heard = 0.0
        if self._beats is not None:
            os.close(self._beats)
            self._beats = None


def _is_shut(listening: socket.socket) -> bool:
    asked = select.poll()
    asked.register(listening, 0)
    return bool(asked.poll(0))


async def _answer(connection: socket.socket, said: bytes) -> None:
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_LONGEST_HEAD)
            try:
                # its body is read and forgotten: a client that still sends would see a broken connection instead
                await _rest(reader, await reader.readuntil(b"\r\n\r\n"))
                writer.write(said)
                await writer.drain()
            finally:
                writer.close()


async def _rest(reader: asyncio.StreamReader, head: bytes) -> None:
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0]) if lengths and lengths[0].strip().isdigit() else 0
    while left > 0 and (part := await reader.read(min(left, 1 << 16))):
        left -= len(part)
