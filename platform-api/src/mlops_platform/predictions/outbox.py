"""Answers that are ready, held until their records are in the log."""

import asyncio

import structlog

from mlops_platform.predictions.interfaces import PredictionLog

log = structlog.get_logger(__name__)


class Outbox:
    """Holds the answers of one turn of the event loop: one write to the log is enough for all of them.

    An answer leaves after its record, and a connection's answers leave in the order they came.
    """

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._held: list[tuple[asyncio.Transport, bytes]] = []

    def hold(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, answer: bytes) -> None:
        """Send an answer at the end of this turn: before any task that starts in it."""
        if not self._held:
            loop.call_soon(self.deliver)
        self._held.append((transport, answer))

    def deliver(self) -> None:
        """Send what is held, now."""
        if not self._held:
            return
        held, self._held = self._held, []
        self._log.commit()
        for transport, answer in held:
            try:
                # a caller that went away needs none
                if not transport.is_closing():
                    transport.write(answer)
            except Exception:  # one connection that cannot be written to keeps nobody else from an answer
                log.exception("answer not sent")
