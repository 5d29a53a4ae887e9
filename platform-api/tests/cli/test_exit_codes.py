"""The exit codes of cli/exits.py, against a real HTTP server that answers each situation."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from .conftest import Ran

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/api/v1/models/unknown": (
        404,
        json.dumps(
            {
                "type": "/problems/model-not-found",
                "title": "Not found",
                "status": 404,
                "detail": "There is no model 'unknown'.",
                "request_id": "r-1",
            }
        ).encode(),
    ),
    "/api/v1/models/secret": (403, b'{"title": "x", "status": 403, "detail": "Your roles do not allow model:read."}'),
    "/api/v1/models/anonymous": (401, b'{"title": "x", "status": 401, "detail": "Send a bearer token."}'),
    "/api/v1/models/broken": (500, b"<html>proxy error</html>"),
    "/api/v1/models/wrong": (
        422,
        json.dumps(
            {
                "title": "x",
                "status": 422,
                "detail": "The request is not valid.",
                "errors": [{"pointer": "/body/replicas", "detail": "at most 100"}],
            }
        ).encode(),
    ),
    "/api/v1/models/down": (503, b'{"title": "x", "status": 503, "detail": "MLflow is not answering."}'),
    "/api/v1/models": (200, b'{"items": [{"name": "churn", "owner": "ana@company.com"}], "next_cursor": null}'),
}


class _Handler(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        status, body = ANSWERS[self.path.split("?")[0]]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("unknown", 1, ["There is no model 'unknown'.", "next: check the name"]),
        ("secret", 4, ["Your roles do not allow model:read."]),
        ("anonymous", 4, ["Send a bearer token.", "mlops token"]),
        ("broken", 1, ["the platform answered 500", "report it"]),
        ("wrong", 1, ["/body/replicas: at most 100"]),
        ("down", 1, ["MLflow is not answering.", "try again"]),
    ],
)
def test_a_problem_is_a_sentence_what_to_do_next_and_a_code(
    mlops: Callable[..., Ran], server: str, model: str, code: int, words: list[str]
) -> None:
    ran = mlops("models", "show", model, MLOPS_URL=server)
    assert ran.code == code
    assert ran.out == ""
    for word in words:
        assert word in ran.err


def test_with_json_the_problem_is_json_on_standard_error(mlops: Callable[..., Ran], server: str) -> None:
    ran = mlops("models", "show", "unknown", "--json", MLOPS_URL=server)
    assert (ran.code, ran.out) == (1, "")
    assert ran.problem["type"] == "/problems/model-not-found"
    assert ran.problem["request_id"] == "r-1"
    assert ran.problem["exit_code"] == 1


def test_a_list_is_a_table_for_people_and_the_whole_answer_for_scripts(mlops: Callable[..., Ran], server: str) -> None:
    assert "churn" in mlops("models", "list", MLOPS_URL=server).out
    assert mlops("models", "list", "--json", MLOPS_URL=server).json["items"][0]["name"] == "churn"


def test_the_token_comes_from_the_option_before_the_environment(mlops: Callable[..., Ran], server: str) -> None:
    mlops("--token", "given", "--url", server, "models", "list", MLOPS_TOKEN="environment")
    assert _Handler.seen[-1][1] == "Bearer given"
    mlops("models", "list", MLOPS_TOKEN="environment", MLOPS_URL=server)
    assert _Handler.seen[-1][1] == "Bearer environment"
    assert mlops("token", "ana@company.com", "--role", "viewer", "--save").code == 0
    mlops("models", "list", MLOPS_URL=server)
    assert (_Handler.seen[-1][1] or "").startswith("Bearer ey")


def test_nothing_running_and_nothing_answering_exit_3(mlops: Callable[..., Ran]) -> None:
    nothing = mlops("models", "list")
    assert nothing.code == 3
    assert "mlops up" in nothing.err
    assert mlops("status").code == 3
    silent = mlops("models", "list", MLOPS_URL="http://127.0.0.1:9")
    assert silent.code == 3
    assert "does not answer" in silent.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "churn"],
        ["no-such-command"],
        ["predict", "churn"],
        ["predict", "churn", "--input", "{not json"],
        ["predict", "churn", "--input", "@no-such-file"],
        ["token", "ana@company.com", "--role", "emperor"],
        ["up", "--port", "99999"],
        ["features", "push", "events", "--rows", "[1, 2]"],
        ["deploy", "churn", "1", "--justification", "x", "--env", "no-equals-sign"],
    ],
)
def test_wrong_usage_exits_2_before_anything_is_sent(
    mlops: Callable[..., Ran], server: str, arguments: list[str]
) -> None:
    before = len(_Handler.seen)
    ran = mlops(*arguments, MLOPS_URL=server)
    assert ran.code == 2, ran.err
    assert len(_Handler.seen) == before
