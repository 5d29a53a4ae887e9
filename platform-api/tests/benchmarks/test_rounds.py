"""What a comparison says: ratios within rounds, their median and range, and bars that can be missed."""

import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def rounds(module: Callable[[str], ModuleType]) -> ModuleType:
    return module("rounds")


@pytest.fixture
def results(module: Callable[[str], ModuleType]) -> Callable[..., list[Any]]:
    result = module("load").Result
    return lambda *rates, errors=0: [result(rate, 1_000 / rate, errors, round(rate)) for rate in rates]


def test_contenders_take_turns_and_the_first_round_does_not_count(
    rounds: ModuleType, results: Callable[..., list[Any]]
) -> None:
    turns: list[str] = []

    def contender(name: str) -> Callable[[], Any]:
        def measure() -> Any:
            turns.append(name)
            return results(len(turns))[0]

        return measure

    found = rounds.in_turn({"a": contender("a"), "b": contender("b")}, 3)
    assert "".join(turns) == "abababab"
    assert [result.rps for result in found["a"]] == [3, 5, 7]
    assert [result.rps for result in found["b"]] == [4, 6, 8]


def test_a_machine_that_becomes_slower_halfway_changes_no_ratio(
    rounds: ModuleType, results: Callable[..., list[Any]]
) -> None:
    line = rounds.rates("x", results(90, 90, 90, 9, 9), results(100, 100, 100, 10, 10), least=0.9)
    assert (line.ratio, line.lowest, line.highest) == (0.9, 0.9, 0.9)
    assert line.bar.met


def test_one_disturbed_round_is_in_the_range_and_does_not_decide(
    rounds: ModuleType, results: Callable[..., list[Any]]
) -> None:
    line = rounds.rates("x", results(95, 20, 95, 95, 95), results(100, 100, 100, 100, 10), least=0.9)
    assert (line.ratio, line.lowest, line.highest) == (0.95, 0.2, 9.5)
    assert line.bar.met


def test_a_bar_is_missed_below_it_and_by_answers_that_failed(
    rounds: ModuleType, results: Callable[..., list[Any]]
) -> None:
    beside = results(100, 100, 100)
    assert not rounds.rates("x", results(89, 89, 89), beside, least=0.9).bar.met
    failed = rounds.rates("x", results(200, 200, 200, errors=1), beside, least=0.9)
    assert (failed.bar.met, failed.what) == (False, "x (3 errors ours)")
    fast_because_it_fails = rounds.rates("x", results(95, 95, 95), results(100, 100, 100, errors=2), least=0.9)
    assert not fast_because_it_fails.bar.met


def test_a_line_without_a_bar_is_only_reported(rounds: ModuleType, results: Callable[..., list[Any]]) -> None:
    assert rounds.rates("x", results(1), results(100)).bar is None
    assert rounds.tails("x", results(1), results(100)).ratio == 100


@pytest.mark.parametrize(("value", "code", "word"), [(0.95, 0, "met"), (0.85, 1, "MISSED")])
def test_a_missed_bar_is_said_and_is_the_exit_code(
    module: Callable[[str], ModuleType],
    rounds: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: float,
    code: int,
    word: str,
) -> None:
    line = rounds.single("predict / floor", value, 1, rounds.at_least(0.9, value))
    reported = rounds.single("predict / another server", 5, 1)
    monkeypatch.setattr(module("floor"), "run", lambda *, quick: [line, reported])
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "floor"])
    assert module("__main__").main() == code
    printed = capsys.readouterr().out
    assert f">= 0.9 {word}" in printed
    assert printed.count("reported") == 1


class _Sometimes(BaseHTTPRequestHandler):
    """Every third answer is an error."""

    protocol_version = "HTTP/1.1"
    answered = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).answered += 1
        self.send_response(503 if self.answered % 3 == 0 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.external("wrk")
def test_answers_that_fail_are_counted(module: Callable[[str], ModuleType]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Sometimes) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        found = module("load").wrk(f"http://127.0.0.1:{server.server_port}/", "{}", connections=1, seconds=1)
        server.shutdown()
    assert found.requests > 10
    assert found.errors == pytest.approx(found.requests / 3, abs=2)
