"""The door's HTTP protocol: a body may take hours, as an artifact over a slow line does, as long as it makes steps."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from mlops_platform.mlflow_door.gate import Gate
from mlops_platform.predictions.bounded_protocol import BoundedProtocol


class UploadProtocol(BoundedProtocol):
    """One connection to the door. Its `body_seconds` is the longest pause within a body that MLflow takes.

    A body that nobody takes (its caller was refused, or answered already) has that time in all: a byte now and then does not
    hold such a connection.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app = config.loaded_app
        if isinstance(app, Gate):
            self.patience = app.patience
        self._parts = self._sweeps_while_paused = 0

    def on_body(self, body: bytes) -> None:
        """Count the part as a step when somebody takes it."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._parts += 1
        super().on_body(body)

    def step(self) -> tuple[object, ...]:
        """Count each part of a body, and the time in which we do not read because MLflow is not ready for more."""
        if self.flow is not None and self.flow.read_paused:
            self._sweeps_while_paused += 1
        return *super().step(), self._parts, self._sweeps_while_paused
