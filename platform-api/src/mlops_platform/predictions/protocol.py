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
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
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
        # the body of a request on the short way; None when uvicorn has the request
        self._short: list[bytes] | None = None

    def on_headers_complete(self) -> None:
        """Choose the way."""
        if self._gateway is not None and is_short(self.url) and self._is_short():
            self._short = []
            self._in_head = False
            self._heard = True
        else:
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
        # counts the request and starts the wait for the next one
        self.on_response_complete()

    def shutdown(self) -> None:
        """End gracefully: a request that was begun is still answered, by uvicorn."""
        if self._short is not None:
            self._take_the_long_way()
        super().shutdown()

    def _is_short(self) -> bool:
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return False
        owes_answer = self.cycle is not None and not self.cycle.response_complete
        if owes_answer or self.expect_100_continue or self.flow.write_paused or parser.should_upgrade():
            return False
        length = b""
        for name, value in self.headers:
            if name == b"content-length":
                length = value
        # no length means chunks, of which there may be any number
        return 0 < len(length) <= _MOST_DIGITS and length.isdigit() and int(length) <= self._most_bytes()

    def _most_bytes(self) -> int:
        assert self._gateway is not None
        return min(_MOST_BYTES, self._gateway.limit)

    def _take_the_long_way(self) -> None:
        read, self._short = self._short or [], None
        super().on_headers_complete()
        for part in read:
            super().on_body(part)

    def _write(self, answer: Reply) -> None:
        lines = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n", answer.body)
        self.transport.write(b"".join(lines))
