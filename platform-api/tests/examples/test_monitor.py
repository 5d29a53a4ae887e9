"""Example 3 prints what Prometheus knows and says what it does not know yet; never nan."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "3_monitor.py"
# what each kind of query answers
Known = dict[str, str | None]


def _kind(query: str) -> str:
    quantile, rate = "histogram_quantile" in query, "rate(" in query
    return {(True, True): "latency", (True, False): "latency ever", (False, True): "rate"}.get(
        (quantile, rate), "total"
    )


@pytest.fixture
def prometheus() -> Iterator[Callable[[Known], str]]:
    """Start an HTTP server that answers queries as Prometheus does; return its URL."""
    servers: list[ThreadingHTTPServer] = []

    def serve(known: Known) -> str:
        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                [query] = parse_qs(urlsplit(self.path).query)["query"]
                value = known.get(_kind(query))
                result = [] if value is None else [{"metric": {}, "value": [1.0, value]}]
                body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def monitor(**environment: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "PROMETHEUS_"))}
    return subprocess.run(
        [sys.executable, str(EXAMPLE)], env={**clean, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("known", "first", "second", "again"),
    [
        ({}, "Request rate: not known yet", "p95 latency: not known yet", True),
        ({"total": "0", "rate": "0", "latency": "NaN"}, "Request rate: 0 req/sec", "p95 latency: not known yet", True),
        # a counter that was born with its first request: no rate, and a ratio of 0/0
        (
            {"total": "1", "rate": "0", "latency": "NaN", "latency ever": "0.0487"},
            "Request rate: 0 req/sec",
            "p95 latency: 48.7 ms since the API started",
            True,
        ),
        ({"total": "1", "latency ever": "NaN"}, "Request rate: 0 req/sec", "p95 latency: not known yet", True),
        ({"total": "NaN", "rate": "NaN", "latency": "NaN"}, "Request rate: not known", "p95 latency: not known", True),
        ({"total": "9", "rate": "0.5", "latency": "+Inf"}, "Request rate: 0.5 req/sec", "p95 latency: not known", True),
        (
            {"total": "9", "rate": "0.5", "latency": "0.0487"},
            "Request rate: 0.5 req/sec",
            "p95 latency: 48.7 ms",
            False,
        ),
    ],
)
def test_it_prints_what_is_known_and_says_when_to_look_again(
    prometheus: Callable[[Known], str], known: Known, first: str, second: str, again: bool
) -> None:
    ran = monitor(PROMETHEUS_URL=prometheus(known))
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith(first)
    assert lines[1].startswith(second)
    assert ("2_features_and_predict.py" in ran.stdout) is again
    assert "nan" not in ran.stdout.lower()
    assert "inf" not in ran.stdout.lower()


def test_a_prometheus_that_is_away_is_a_sentence() -> None:
    ran = monitor(PROMETHEUS_URL="http://127.0.0.1:9")
    assert ran.returncode == 1
    assert "does not answer at http://127.0.0.1:9" in ran.stderr
    assert "Traceback" not in ran.stderr
