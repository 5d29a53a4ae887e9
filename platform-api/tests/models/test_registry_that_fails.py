"""An MLflow that answers with a failure of its own, as on a full disk, is unavailable: nobody is told to check their model."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest

from mlops_platform.adapters.mlflow.registry import MlflowRegistry
from mlops_platform.models.interfaces import RegistryRefused, RegistryUnavailable


class _Answers(BaseHTTPRequestHandler):
    code, error, message = 500, "INTERNAL_ERROR", "No space left on device"

    def _answer(self) -> None:
        # only what it is asked to do fails: its health is good
        healthy = self.path == "/health"
        body = b"OK" if healthy else json.dumps({"error_code": self.error, "message": self.message}).encode()
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


@pytest.mark.parametrize(
    ("page", "refused"), [("2j85", False), ("8s2b", False), ("4xp6", False), ("9h9h", True), ("gkpj", True)]
)
async def test_what_its_database_does_not_do_is_no_refusal_unless_a_value_is_to_blame(
    failing: str, monkeypatch: pytest.MonkeyPatch, page: str, refused: bool
) -> None:
    monkeypatch.setattr(_Answers, "code", 400)
    monkeypatch.setattr(_Answers, "error", "BAD_REQUEST")
    said = f"could not write block 7: No space left on device (Background on this error at: https://sqlalche.me/e/21/{page})"
    monkeypatch.setattr(_Answers, "message", said)
    with pytest.raises(RegistryRefused if refused else RegistryUnavailable):
        await MlflowRegistry(failing).get_version("churn", 1)


@pytest.mark.parametrize(
    "uri", ["models:/churn/1", "models:/churn@live", "runs:/0123456789abcdef0123456789abcdef/model"]
)
async def test_an_address_is_asked_of_this_server_and_no_database_appears_in_the_working_folder(
    failing: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = mlflow.get_tracking_uri()
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    # as in a worker that has just started
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    monkeypatch.setattr(_Answers, "error", "RESOURCE_DOES_NOT_EXIST")
    monkeypatch.setattr(_Answers, "code", 404)
    try:
        assert await MlflowRegistry(failing).description(uri, tenant="default") is None
        assert list(tmp_path.iterdir()) == []
    finally:
        mlflow.set_tracking_uri(before)
