"""Spans reach an OTLP collector, join the caller's trace, say nothing of what was asked, and hold nothing up."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from mlops_platform.bootstrap import BuiltServices, build_front
from mlops_platform.deployments.revisions import Deployment
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.mlflow_front import compose
from mlops_platform.predictions.gateway import Gateway
from mlops_platform.settings import Settings
from mlops_platform.telemetry import spans, tracing
from mlops_platform.telemetry.requests import CURRENT, RequestIds
from tests.support.trust import EveryBuild, nothing_revoked

from ..predictions.conftest import live
from ..support.bundles import halves

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Collector:
    """A collector of OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        outer = self

        class _Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spans(self) -> list[Any]:
        """Every span that arrived."""
        groups = [scope for request in self.requests for part in request.resource_spans for scope in part.scope_spans]
        return [span for group in groups for span in group.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def facts(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
    assert spans.start("api", os.environ)
    yield found
    spans.stop()
    found.close()


@pytest.fixture
async def door(services: BuiltServices, tmp_path: Path, as_: Callable[..., dict[str, str]]) -> httpx.AsyncClient:
    revision: LiveRevision = live("halves", halves(tmp_path))

    async def routes() -> RoutingSnapshot:
        return RoutingSnapshot(1, (revision,))

    async def generation() -> int:
        return 1

    async def inner(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": tracing.handed_on(CURRENT.get(""))["traceparent"].encode()})

    gateway = Gateway(RequestIds(inner), services, routes, generation, nothing_revoked, EveryBuild())
    headers = {**as_("ana@company.com", "data-scientist"), **CALLER}
    return httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://platform", headers=headers)


async def test_a_prediction_is_a_span_of_its_callers_trace(collector: Collector, door: httpx.AsyncClient) -> None:
    body = {"model_name": "halves", "input_data": {"x": 31337.0}}
    answer = await door.post("/api/v1/predict", json=body, headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 200
    gateway: Gateway = door._transport.app  # type: ignore[attr-defined]
    headers = [(name.lower(), value) for name, value in answer.request.headers.raw]
    assert gateway.at_once(b"/api/v1/predict", headers, answer.request.content)
    spans.stop()
    long, short = (span for span in collector.spans() if span.name.startswith("POST"))
    for span in (long, short):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.name == "POST /api/v1/predict"
        told = facts(span)
        assert told == {"mlops.model": "halves", "mlops.request": "mine-1", "http.response.status_code": 200}
        assert span.end_time_unix_nano > span.start_time_unix_nano
    assert b"31337" not in b"".join(request.SerializeToString() for request in collector.requests)
    (resource,) = {request.resource_spans[0].resource.attributes[0].key for request in collector.requests}
    assert resource


async def test_names_of_callers_own_are_in_no_span(collector: Collector, door: httpx.AsyncClient) -> None:
    await door.post("/api/v1/predict", json={"model_name": "ana-s-secret", "input_data": {}})
    await door.get("/api/v1/things/ana-s-secret")
    spans.stop()
    assert len([span for span in collector.spans() if span.name.startswith(("POST", "GET"))]) == 2
    assert b"secret" not in b"".join(request.SerializeToString() for request in collector.requests)


async def test_what_is_called_next_is_a_child_of_the_open_span(collector: Collector, door: httpx.AsyncClient) -> None:
    handed = (await door.get("/anything")).text
    spans.stop()
    (span,) = collector.spans()
    assert handed == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert span.name == "GET unmatched"
    assert span.status.code == 2, "a 5xx is an error"


async def test_an_unsampled_trace_is_not_sent(collector: Collector, door: httpx.AsyncClient) -> None:
    unsampled = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    await door.post("/api/v1/predict", json={"model_name": "halves", "input_data": {"x": 1.0}}, headers=unsampled)
    spans.stop()
    assert collector.spans() == []


async def test_a_statement_is_a_span_of_the_work_it_belongs_to_and_says_no_value(
    collector: Collector, services: BuiltServices
) -> None:
    secret = "ana-s-secret"
    async with services.database.read_session() as session:
        await session.execute(select(Deployment).where(Deployment.model_name == secret))
    with spans.working("build"):
        async with services.database.read_session() as session:
            await session.execute(select(Deployment).where(Deployment.model_name == secret))
            await session.execute(text(f"SELECT '{secret} FROM {secret}'"))
        with pytest.raises(DBAPIError):
            async with services.database.session() as session:
                await session.execute(text(f'SELECT 1 FROM "{secret}"'))
    spans.stop()
    *statements, work = collector.spans()
    assert [span.name for span in statements if span.name != "other"] == ["SELECT deployments", "SELECT", "SELECT"]
    assert {(span.trace_id, span.parent_span_id) for span in statements} == {(work.trace_id, work.span_id)}
    assert [span.status.code for span in statements][-1] == 2, "what PostgreSQL refuses is an error"
    assert facts(statements[0]) == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.collection.name": "deployments",
    }
    assert b"secret" not in b"".join(request.SerializeToString() for request in collector.requests)


async def test_a_request_to_mlflow_is_a_span_of_its_callers_trace(
    collector: Collector, settings: Settings, as_: Callable[..., dict[str, str]]
) -> None:
    front = build_front(settings)
    gate = compose(front)
    paths = ("/ajax-api/2.0/mlflow/runs/get", "/api/2.0/mlflow-artifacts/artifacts/ana/secret", "/ana-s-secret")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://door", headers=CALLER) as door:
        codes = [(await door.get(path, headers={"X-Request-ID": "mine-2"})).status_code for path in paths]
    await front.database.dispose()
    await front.upstream.close()
    spans.stop()
    found = collector.spans()
    assert [span.name for span in found] == [
        "GET /api/2.0/mlflow/runs/get",
        "GET /api/2.0/mlflow-artifacts/artifacts/<path*>",
        "GET unmatched",
    ]
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in found} == {(TRACE, PARENT)}
    assert [facts(span)["http.response.status_code"] for span in found] == codes
    assert {facts(span)["mlops.request"] for span in found} == {"mine-2"}
    assert b"secret" not in b"".join(request.SerializeToString() for request in collector.requests)


async def test_a_collector_that_is_away_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, door: httpx.AsyncClient
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    assert spans.start("api", os.environ)
    body = {"model_name": "halves", "input_data": {"x": 1.0}}
    codes = [(await door.post("/api/v1/predict", json=body)).status_code for _ in range(20)]
    spans.stop()
    assert codes == [200] * 20


def test_without_an_endpoint_nothing_is_sent() -> None:
    assert not spans.start("api", {})
    assert not spans.start("api", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"})
    with spans.serving("GET", []) as span:
        span.told(a=1)
    assert spans.handed_on() == {}
