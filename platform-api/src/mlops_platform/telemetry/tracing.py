"""One request through several processes: its id and its W3C trace context (`traceparent`), taken in and handed on.

https://www.w3.org/TR/trace-context/: a caller's trace keeps its id and its flags; each hop names a span of its own. A request
without one gets a trace id that follows from its request id, unsampled, so that all it calls agree on it.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar, Token

from mlops_platform.telemetry import spans

HEADER = b"traceparent"
# later versions may say more after the flags; version ff is forbidden, and so are ids of zeros
_ACCEPTABLE = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST = 256

CURRENT: ContextVar[tuple[str, str]] = ContextVar("trace")
"""Trace id and flags of the request that a task works for."""


def accepted(value: bytes) -> tuple[str, str] | None:
    """Return trace id and flags, None for what is no trace context: such a header counts as absent."""
    found = _ACCEPTABLE.fullmatch(value) if len(value) <= _LONGEST else None
    if found is None or (found[1] == b"00" and found[5]):
        return None
    return found[2].decode(), found[4].decode()


def begin(headers: Iterable[tuple[bytes, bytes]]) -> "Token[tuple[str, str]] | None":
    """Take the trace of a request, if it names exactly one; give the token to `end`."""
    values = [value for name, value in headers if name == HEADER]
    trace = accepted(values[0]) if len(values) == 1 else None
    return None if trace is None else CURRENT.set(trace)


def end(token: "Token[tuple[str, str]] | None") -> None:
    """Forget the trace when the request is answered."""
    if token is not None:
        CURRENT.reset(token)


def handed_on(request_id: str) -> dict[str, str]:
    """Return the headers that tell the next process which request it works for; none outside of a request."""
    if not request_id:
        return {}
    trace = CURRENT.get(None) or (hashlib.sha256(request_id.encode()).hexdigest()[:32], "00")
    of_trace = f"00-{trace[0]}-{secrets.token_hex(8)}-{trace[1]}"
    return {"x-request-id": request_id, "traceparent": of_trace, **spans.handed_on()}
