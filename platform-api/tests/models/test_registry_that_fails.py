"""An MLflow that answers with a failure of its own, as on a full disk, is unavailable: nobody is told to check their model."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlops_platform.adapters.mlflow.registry import MlflowRegistry
from mlops_platform.models.interfaces import RegistryRefused, RegistryUnavailable


class _Answers(BaseHTTPRequestHandler):
    code, error = 500, "INTERNAL_ERROR"

    def _answer(self) -> None:
        # only what it is asked to do fails: its health is good
        healthy = self.path == "/health"
        body = (
            b"OK" if healthy else json.dumps({"error_code": self.error, "message": "No space left on device"}).encode()
        )
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200 if healthy else self.code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - the names that the base class looks for

    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 - the base class names it
        """Print nothing."""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_a_failure_of_its_own_is_not_a_refusal(failing: str) -> None:
    with pytest.raises(RegistryUnavailable) as failed:
        await MlflowRegistry(failing).get_version("churn", 1)
    assert failed.value.status == 503


async def test_what_it_does_not_accept_is_a_refusal(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Answers, "code", 400)
    monkeypatch.setattr(_Answers, "error", "INVALID_PARAMETER_VALUE")
    with pytest.raises(RegistryRefused):
        await MlflowRegistry(failing).get_version("churn", 1)
