"""uvicorn's HTTP protocol with a short way for predictions: read, answered and written inside one callback.

A task, an event and two checked messages per request cost more than the model does. Here a small prediction of a known
caller is answered as soon as its last byte was read; whatever has to wait for something takes uvicorn's own way, from the
start, with the same bytes. Order is kept: the short way is open only when the connection owes no answer.

The parts of uvicorn this touches are those its own protocol class is made of: `pyproject.toml` admits one minor version,
and `tests/predictions/test_protocol.py` compares both ways byte for byte.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from mlops_platform.kit.replies import Reply
from mlops_platform.predictions.bounded_protocol import BoundedProtocol
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.predictions.operations import is_short

# longer bodies are worth a task of their own, and flow control
_MOST_BYTES = 65_536
_MOST_DIGITS = 5


class PredictionProtocol(BoundedProtocol):
    """One connection. For `uvicorn --http mlops_platform.predictions.protocol:PredictionProtocol`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app = config.loaded_app
        if isinstance(app, Gateway):
            self.patience = app.patience
        # with middleware around the gateway, a concurrency limit or an access log, uvicorn has work to do per request
        bare = isinstance(app, Gateway) and config.limit_concurrency is None and not config.access_log
        self._gateway: Gateway | None = app if bare else None
        self._most_bytes = min(_MOST_BYTES, app.limit) if isinstance(app, Gateway) else 0
        # the body of a request on the short way; None when uvicorn has the request
        self._short: list[bytes] | None = None

    def on_message_begin(self) -> None:
        """Begin with what both ways need: the ASGI scope is made when uvicorn takes the request."""
        self._in_head = self._in_message = self._heard = True
        self._begun += 1
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what it asks of uvicorn is looked at with the scope."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        if self._gateway is not None and is_short(self.url) and self._is_short():
            self._short = []
            self._in_head = False
            self._heard = True
        else:
            self._make_scope()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._short is None:
            super().on_body(body)
        else:
            self._heard = True
            self._short.append(body)

    def on_message_complete(self) -> None:
        """Answer now, or let uvicorn do it."""
        if self._short is None:
            super().on_message_complete()
            return
        assert self._gateway is not None
        body = self._short[0] if len(self._short) == 1 else b"".join(self._short)
        answer = self._gateway.at_once(self.url, self.headers, body)
        if answer is None:
            self._take_the_long_way()
            super().on_message_complete()
            return
        self._short = None
        self._in_message = False
        self._write(answer)
        # nothing else is due here: no request waits behind this one, and the sweeper ends a connection that stays idle,
        # where uvicorn would set a timer and cancel it for every request
        self.server_state.total_requests += 1

    def shutdown(self) -> None:
        """End gracefully: a request that was begun is still answered, by uvicorn."""
        self._deliver()
        if self._short is not None:
            self._take_the_long_way()
        super().shutdown()

    def give_up(self, words: bytes) -> None:
        """End the connection after the answers it was owed."""
        self._deliver()
        super().give_up(words)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP after the answers that are owed to earlier requests."""
        self._deliver()
        super().send_400_response(msg)

    def _is_short(self) -> bool:
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return False
        if self._leaving:
            # the last answer says so
            return False
        owes_answer = self.cycle is not None and not self.cycle.response_complete
        if owes_answer or self.flow.write_paused or parser.should_upgrade():
            return False
        named = dict(self.headers)
        # no length means chunks, of which there may be any number
        length = named.get(b"content-length", b"")
        if not 0 < len(length) <= _MOST_DIGITS or b"expect" in named or not length.isdigit():
            return False
        return int(length) <= self._most_bytes

    def _make_scope(self) -> None:
        url, headers = self.url, self.headers
        HttpToolsProtocol.on_message_begin(self)
        self.url = url
        for name, value in headers:
            HttpToolsProtocol.on_header(self, name, value)

    def _take_the_long_way(self) -> None:
        read, self._short = self._short or [], None
        self._make_scope()
        super().on_headers_complete()
        for part in read:
            super().on_body(part)

    def _write(self, answer: Reply) -> None:
        assert self._gateway is not None
        headers = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *answer.headers)]
        whole = b"".join((STATUS_LINE[answer.status], *headers, b"\r\n", answer.body))
        self._gateway.outbox.hold(self.loop, self.transport, whole)

    def _deliver(self) -> None:
        if self._gateway is not None:
            self._gateway.outbox.deliver()
