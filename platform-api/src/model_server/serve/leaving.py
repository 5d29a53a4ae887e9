"""A server that leaves when nobody asks it anything, without losing a request, and says meanwhile that it turns."""

import contextlib
import os
import time

import uvicorn

from model_server.serve.asgi import ModelServerApp

# ticks of uvicorn, ten a second
_BEAT = 10


class LeavingServer(uvicorn.Server):
    """uvicorn's server. Its listening socket is shared: what connects after it stopped accepting waits for the next process."""

    def __init__(self, config: uvicorn.Config, app: ModelServerApp, idle_seconds: float, heartbeat: int | None) -> None:
        """`idle_seconds` 0: it stays. `heartbeat`: the descriptor to write a byte to every second."""
        super().__init__(config)
        self.left = False
        self._app = app
        self._idle_seconds = idle_seconds
        self._heartbeat = heartbeat
        self._accepts = True

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second; then say that this loop turns, and look whether anybody is here."""
        if self._heartbeat is not None and counter % _BEAT == 1:
            # the host is gone, or does not read: neither is a reason to end
            with contextlib.suppress(OSError):
                os.write(self._heartbeat, b".")
        ended = await super().on_tick(counter)
        return ended or (self._idle_seconds > 0 and self._leaves())

    def _leaves(self) -> bool:
        """Stop accepting when nobody is connected and nobody asked for long; leave once nobody came in that moment."""
        if self.server_state.connections or self.server_state.tasks:
            return False
        if self._accepts:
            if time.monotonic() - self._app.asked < self._idle_seconds:
                return False
            self._accepts = False
            for server in self.servers:
                server.close()
            return False
        self.left = True
        return True
