"""MLflow's own application behind a secret: `uvicorn mlops_platform.adapters.mlflow.guarded_server:app`.

MLflow has no check of its own that a program other than the door may not pass. On a machine that several people use, a
loopback port is open to all of them; the secret is readable for the platform's user only.
"""

import hmac
import os
from pathlib import Path

from mlflow.server.fastapi_app import app as mlflow_app
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECRET_FILE = "MLOPS_MLFLOW_SECRET_FILE"  # noqa: S105 - the name of a setting
# MLflow's middlewares start several tasks for each part of a body, however small: larger parts are fewer
_PART = 1_048_576
_REFUSAL = b"This is the platform's inner address of MLflow. Use the address that `mlops status` shows.\n"


def in_large_parts(receive: Receive) -> Receive:
    """Hand on a request's body in parts of about a megabyte, its end and a caller who went away at once."""
    ahead: list[Message] = []

    async def larger() -> Message:
        if ahead:
            return ahead.pop()
        parts: list[bytes] = []
        size = 0
        while size < _PART:
            message = await receive()
            if message["type"] != "http.request":
                if not parts:
                    return message
                ahead.append(message)
                break
            if part := message.get("body", b""):
                parts.append(part)
                size += len(part)
            if not message.get("more_body", False):
                return {"type": "http.request", "body": b"".join(parts), "more_body": False}
        return {"type": "http.request", "body": b"".join(parts), "more_body": True}

    return larger


class Guarded:
    """Answers 401 to whoever does not send the secret; nothing of such a request reaches MLflow."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        if not secret:
            raise ValueError("the secret that guards MLflow is empty")
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(sent) == 1 and hmac.compare_digest(sent[0], self._expected):
            await self._app(scope, in_large_parts(receive) if scope["type"] == "http" else receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_REFUSAL))]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})


if SECRET_FILE in os.environ:
    # loaded by now: from here on predictions on this machine go first, while artifacts of any size are stored
    os.nice(10)
    app = Guarded(mlflow_app, Path(os.environ[SECRET_FILE]).read_text().strip())
