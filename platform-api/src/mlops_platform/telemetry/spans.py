"""Spans of OpenTelemetry: sent when OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set, else nothing is made or imported.

The variables are OpenTelemetry's own (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), headers,
certificates and sampling included; OTEL_TRACES_SAMPLER=parentbased_traceidratio keeps a share. What a span says is bounded: names of
routes and models, never a path, a value or a person.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OpenSpan
    from opentelemetry.trace import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SERVER_ERRORS = 500


class Span(Protocol):
    """What the platform tells of a span while it is open."""

    def named(self, name: str) -> None:
        """Give it its name, once the route is known."""

    def told(self, **facts: str | int) -> None:
        """Add facts; `_` in a name stands for a dot."""

    def answered(self, status: int) -> None:
        """Say how it ended; 5xx is an error."""


class _Nothing:
    def named(self, name: str) -> None: ...
    def told(self, **facts: str | int) -> None: ...
    def answered(self, status: int) -> None: ...


_NOTHING: AbstractContextManager[Span] = nullcontext(_Nothing())
_tracer: "Tracer | None" = None
_provider: "TracerProvider | None" = None


def start(service: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send this process's spans from now on, if there is an endpoint; return whether there is.

    Call it after a fork: the sender is a thread. A collector that does not answer loses spans and holds nothing up.
    """
    global _tracer, _provider  # noqa: PLW0603 - one per process, as OpenTelemetry's own
    if not any(environment.get(name) for name in _ENDPOINTS) or environment.get("OTEL_SDK_DISABLED") == "true":
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from mlops_platform import __version__

    named = {"service.name": environment.get("OTEL_SERVICE_NAME") or f"mlops-{service}", "service.version": __version__}
    _provider = TracerProvider(resource=Resource.create(named))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("mlops_platform", __version__)
    return True


def stop() -> None:
    """Send what is left, and no more after it."""
    global _tracer, _provider  # noqa: PLW0603
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def serving(name: str, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Span]:
    """Return the span of a request, a child of its caller's when `traceparent` names one."""
    return _NOTHING if _tracer is None else _opened(_tracer, name, "server", headers)


def served(name: str, headers: Iterable[tuple[bytes, bytes]], seconds: float, status: int, **facts: str | int) -> None:
    """Send the span of a request that has just been answered, for a way on which an open one would cost too much."""
    if _tracer is None:
        return
    from opentelemetry.trace import SpanKind

    began = time.time_ns() - int(seconds * 1e9)
    span = _Open(_tracer.start_span(name, _context(headers), SpanKind.SERVER, start_time=began))
    span.told(**facts)
    span.answered(status)
    span.end()


def open_span() -> bool:
    """Return whether a span is open that is sent."""
    if _tracer is None:
        return False
    from opentelemetry.trace import get_current_span

    return get_current_span().is_recording()


def called(name: str, seconds: float, *, failed: bool, **facts: str | int) -> None:
    """Send the span of a call that has just ended, a child of the open span. Without one nothing is sent: most calls of a worker
    find no work, and would be a trace each.
    """
    if _tracer is None or not open_span():
        return
    from opentelemetry.trace import SpanKind, StatusCode

    ended = time.time_ns()
    span = _tracer.start_span(name, kind=SpanKind.CLIENT, start_time=ended - int(seconds * 1e9))
    _Open(span).told(**facts)
    if failed:
        span.set_status(StatusCode.ERROR)
    span.end(ended)


def tell(**facts: str | int) -> None:
    """Add facts to the open span."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        _Open(get_current_span()).told(**facts)


def calling(name: str) -> AbstractContextManager[Span]:
    """Return the span of a call to another process."""
    return _NOTHING if _tracer is None else _opened(_tracer, name, "client", None)


def working(name: str) -> AbstractContextManager[Span]:
    """Return the span of a piece of work in this process."""
    return _NOTHING if _tracer is None else _opened(_tracer, name, "internal", None)


def handed_on() -> dict[str, str]:
    """Return the header that makes the next process's work a child of the open span; empty when there is none."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return {name: value for name, value in carrier.items() if name == "traceparent"}


class _Open:
    def __init__(self, span: "OpenSpan") -> None:
        self._span = span

    def end(self) -> None:
        self._span.end()

    def named(self, name: str) -> None:
        self._span.update_name(name)

    def told(self, **facts: str | int) -> None:
        for name, value in facts.items():
            self._span.set_attribute(name.replace("_", "."), value)

    def answered(self, status: int) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERRORS:
            self._span.set_status(StatusCode.ERROR)


@contextmanager
def _opened(
    tracer: "Tracer",
    name: str,
    kind: Literal["server", "client", "internal"],
    headers: Iterable[tuple[bytes, bytes]] | None,
) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind

    context = None if headers is None else _context(headers)
    with tracer.start_as_current_span(name, context, SpanKind[kind.upper()], record_exception=False) as span:
        yield _Open(span)


_PARENT = frozenset({b"traceparent", b"tracestate"})


def _context(headers: Iterable[tuple[bytes, bytes]]) -> "Context":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers if key in _PARENT}
    return TraceContextTextMapPropagator().extract(found)
