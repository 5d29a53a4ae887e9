"""uvicorn's HTTP protocol with limits: how long a head may be, and how long a caller may take to send one, or a body.

The parser keeps a header until it has all of it, and waits for it as long as the connection lasts: without limits one caller
fills the memory with a single header, and a few hundred silent ones take every connection. What is counted is what costs: bytes
since the parser last had something to say, and seconds since a request made any step.
"""

import asyncio
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

# the parser gets no more of a head at once, so that one that is too long is seen before it is whole
_SLICE = 4_096
# a body is counted by whoever reads it
_BODY_SLICE = 65_536
_SWEEP_SECONDS = 1.0

# a request that was sent before the caller could hear that this process ends: longer than a round trip
_LAST_CALL_SECONDS = 0.5

_TOO_LONG = (
    b'{"type":"/problems/head-too-long","title":"The head of the request is too long","status":431,'
    b'"detail":"The request line and the headers are too long together; send less in them."}'
)
_TOO_SLOW = (
    b'{"type":"/problems/request-too-slow","title":"The request did not arrive in time","status":408,'
    b'"detail":"The head or the body of the request took too long to arrive; send it again, whole."}'
)


class Patience(NamedTuple):
    """What a connection may cost before its request is answered."""

    head_bytes: int = 32_768
    """Request line and headers; one slice more may pass."""
    head_seconds: float = 20
    """From the connection, or the first byte of a request, to the end of its head."""
    body_seconds: float = 60
    """From the end of the head to the end of the body."""


def _last_words(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, len(body)) + body


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Its limits cost a request of one packet a few assignments."""

    patience = Patience()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # bytes the parser took without saying anything: of one header, of trailers, of a chunk's extensions
        self._unheard = 0
        self._heard = False
        self._in_head = True
        self._in_message = True
        self._begun = 0
        self._leaving = False
        # what the sweeper saw last, and for how many sweeps
        self._seen: tuple[object, ...] = (0, True, True)
        self._sweeps = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Watch the connection from its first moment: a caller that never sends anything counts as well."""
        super().connection_made(transport)
        _sweep(self.server_state, self.loop)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser, a slice at a time while it reads a head, until it has too much of one."""
        if len(data) <= _SLICE:
            # nearly every request
            self._feed(data)
            return
        start = 0
        while start < len(data):
            size = _SLICE if self._in_head or not self._in_message else _BODY_SLICE
            part = data[start : start + size]
            start += len(part)
            self._feed(part)
            if self.parser is None or self.transport.is_closing():
                return

    def _feed(self, part: bytes) -> None:
        super().data_received(part)
        if self._heard:
            self._heard, self._unheard = False, len(part)
        elif self._in_message:
            self._unheard += len(part)
            if self._unheard > self.patience.head_bytes:
                self.give_up(_last_words(b"431 Request Header Fields Too Large", _TOO_LONG))

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._in_head = self._in_message = self._heard = True
        self._begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count the body from here."""
        self._in_head = False
        self._heard = True
        super().on_headers_complete()
        if self._leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Count what follows this part."""
        self._heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing more."""
        self._in_message = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """End gracefully: a request that is on its way to an idle connection is still answered, as its last."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self._leaving:
            self._leaving = True
            self.loop.call_later(_LAST_CALL_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def sweep(self) -> None:
        """Look, once a second, whether the request that is waited for makes steps."""
        seen = self.step()
        if seen != self._seen or not self._waits():
            self._seen, self._sweeps = seen, 0
            return
        self._sweeps += 1
        if self._sweeps * _SWEEP_SECONDS >= self._longest_wait():
            self.give_up(_last_words(b"408 Request Timeout", _TOO_SLOW))

    def step(self) -> tuple[object, ...]:
        """Return what changes when the request makes a step: the clock that the limits count by begins again."""
        return self._begun, self._in_head, self._in_message

    def _longest_wait(self) -> float:
        """Return how many seconds the caller may take for the step that is waited for."""
        if not self._in_message:
            return self.timeout_keep_alive
        return self.patience.head_seconds if self._in_head else self.patience.body_seconds

    def _waits(self) -> bool:
        """Whether the next step is the caller's, and no timer of uvicorn's waits for it."""
        idle = self.cycle is None or self.cycle.response_complete
        return self._in_message or (idle and self.timeout_keep_alive_task is None)

    def give_up(self, words: bytes) -> None:
        """End the connection, with last words where an answer can stand."""
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and not self.cycle.response_complete
        # a caller that never sent anything reads no answer; one to an earlier request comes first
        if self._begun and self._in_message and not (answering and (self._in_head or self.cycle.response_started)):
            self.transport.write(words)
        if answering:
            self.cycle.disconnected = True
        self.transport.close()


_SWEEPERS: WeakKeyDictionary[ServerState, asyncio.TimerHandle] = WeakKeyDictionary()


def _sweep(state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
    """Look at a server's connections every second, as long as it has any."""
    if state in _SWEEPERS:
        return

    def look() -> None:
        for connection in list(state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.sweep()
        if state.connections:
            _SWEEPERS[state] = loop.call_later(_SWEEP_SECONDS, look)
        else:
            _SWEEPERS.pop(state, None)

    _SWEEPERS[state] = loop.call_later(_SWEEP_SECONDS, look)
