"""What a rollout is judged by: counted by a real Prometheus over two API processes, or honestly not known."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from mlops_platform.adapters.prometheus.signals import PrometheusSignals
from mlops_platform.kit.clock import now
from mlops_platform.rollouts.interfaces import SignalsUnavailable
from mlops_platform.rollouts.rollout import Signal
from mlops_platform.telemetry import metrics

from ..support.ports import free_port
from ..support.waiting import answers_well, eventually_async, until_started


@dataclass
class ApiProcess:
    """The counters of one API process, with the names the platform's own have, on a port."""

    port: int

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "model_revision_requests_total", "r", ["revision", "model_name", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "model_revision_request_duration_seconds", "s", ["revision", "model_name"], registry=self.registry
        )

    def answers(self, revision: str, count: int, status: str = "200", seconds: float = 0.01) -> None:
        self.requests.labels(revision, "churn", status).inc(count)
        for _ in range(count):
            self.seconds.labels(revision, "churn").observe(seconds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = generate_latest(self.registry)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n")
        writer.write(f"content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


def test_the_names_asked_for_are_the_names_counted() -> None:
    assert metrics.model_revision_requests_total.describe()[0].name == "model_revision_requests"
    assert (
        metrics.model_revision_request_duration_seconds.describe()[0].name == "model_revision_request_duration_seconds"
    )


@pytest.fixture
async def processes() -> AsyncIterator[list[ApiProcess]]:
    made = [ApiProcess(free_port()) for _ in range(2)]
    servers = [await asyncio.start_server(each.serve, "127.0.0.1", each.port) for each in made]
    yield made
    for server in servers:
        server.close()


@pytest.fixture
async def prometheus(processes: list[ApiProcess], tmp_path: Path) -> AsyncIterator[str]:
    targets = ", ".join(f"'127.0.0.1:{each.port}'" for each in processes)
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\n"
        f"scrape_configs: [{{job_name: api, static_configs: [{{targets: [{targets}]}}]}}]\n"
    )
    port = free_port()
    program = shutil.which("prometheus")
    assert program
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    until_started(process, lambda: answers_well(f"{url}/-/ready"), tmp_path / "prometheus.log", 30)
    yield url
    process.terminate()
    process.wait(10)


async def _scraped_after(prometheus: str, moment: datetime) -> bool:
    """Return whether every process was scraped since."""
    async with httpx.AsyncClient() as client:
        asked = await client.get(f"{prometheus}/api/v1/query", params={"query": 'timestamp(up{job="api"})'})
    times = [float(one["value"][1]) for one in asked.json()["data"]["result"]]
    return len(times) == 2 and min(times) > moment.timestamp()


@pytest.mark.external("prometheus")
async def test_requests_errors_and_p99_of_all_processes_since_the_step_began(
    prometheus: str, processes: list[ApiProcess]
) -> None:
    signals = PrometheusSignals(prometheus)
    # counted before the step: must not be judged
    processes[0].answers("r1", 50, "500")
    processes[0].answers("other", 70, "500")
    before = now() - timedelta(hours=1)

    async def counted(since: datetime, requests: int) -> Signal | None:
        seen = await signals.since("r1", since)
        return seen if seen.requests >= requests else None

    # Prometheus looks for its targets some seconds after it is ready
    await eventually_async(lambda: counted(before, 50), 30)
    start = now()
    await eventually_async(lambda: _scraped_after(prometheus, start), 30)
    assert await signals.since("never-was", start) == await signals.since("never-was", start)
    assert (await signals.since("never-was", start)).requests == 0
    processes[0].answers("r1", 30, seconds=0.3)
    # this process answers for the revision for the first time
    processes[1].answers("r1", 20, "503", seconds=0.3)
    seen = await eventually_async(lambda: counted(start, 50), 30)
    assert seen is not None
    assert (seen.requests, seen.errors) == (50, 20)
    assert seen.p99_seconds is not None
    assert 0.25 < seen.p99_seconds <= 0.5


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text="starting"),
        httpx.Response(200, text="<html>a proxy</html>"),
        httpx.Response(200, json={"status": "error", "error": "bad query"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
async def test_a_prometheus_in_trouble_is_not_taken_for_a_quiet_revision(answer: Any) -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as client:
        with pytest.raises(SignalsUnavailable):
            await PrometheusSignals("http://prometheus", client).since("r1", now() - timedelta(seconds=5))
