"""A request's id and its caller's trace reach the process it calls, and every line that is logged for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from mlops_platform.telemetry import tracing
from mlops_platform.telemetry.requests import CURRENT, RequestIds, name_request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize("value", [GIVEN, GIVEN.replace(b"00-", b"cc-", 1) + b"-what-will-be"])
def test_a_trace_is_taken(value: bytes) -> None:
    assert tracing.accepted(value) == (TRACE, "01")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        GIVEN.upper(),
        GIVEN + b"-more",
        GIVEN.replace(b"00-", b"ff-", 1),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        GIVEN[:-1],
        b"cc" + GIVEN[2:] + b"-" + b"x" * 300,
    ],
)
def test_what_is_no_trace_counts_as_absent(value: bytes) -> None:
    assert tracing.accepted(value) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_fail(value: bytes) -> None:
    tracing.accepted(value)


async def handed_on(headers: list[tuple[bytes, bytes]]) -> tuple[dict[str, str], dict[str, object]]:
    seen: dict[str, str] = {}
    line: dict[str, object] = {}

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.update(tracing.handed_on(CURRENT.get("")))
        line.update(name_request(None, "info", {}))

    async def nothing(*_: Message) -> Message:
        return {}

    await RequestIds(app)({"type": "http", "method": "GET", "headers": headers}, nothing, nothing)  # type: ignore[arg-type]
    return seen, line


async def test_the_next_process_is_told_the_same_trace_with_a_span_of_its_own() -> None:
    seen, line = await handed_on([(b"x-request-id", b"r-1"), (b"traceparent", GIVEN)])
    assert seen["x-request-id"] == "r-1"
    assert seen["traceparent"].startswith(f"00-{TRACE}-")
    assert seen["traceparent"].endswith("-01")
    assert SPAN not in seen["traceparent"]
    assert line == {"request_id": "r-1", "trace_id": TRACE}


async def test_without_a_trace_everything_a_request_calls_agrees_on_one() -> None:
    first, line = await handed_on([(b"x-request-id", b"r-1")])
    second, _ = await handed_on([(b"x-request-id", b"r-1"), (b"traceparent", GIVEN), (b"traceparent", GIVEN)])
    assert tracing.accepted(first["traceparent"].encode()) == tracing.accepted(second["traceparent"].encode())
    assert line == {"request_id": "r-1"}


async def test_nothing_is_handed_on_outside_of_a_request() -> None:
    await handed_on([(b"traceparent", GIVEN)])
    assert tracing.handed_on(CURRENT.get("")) == {}
    assert tracing.CURRENT.get(None) is None
