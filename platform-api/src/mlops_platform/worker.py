"""The worker: every room's jobs, each at its own pace, each safe to kill at any point."""

import argparse
import asyncio
import contextlib
import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import structlog
from prometheus_client import start_http_server

from mlops_platform.bootstrap import build
from mlops_platform.database.locks import try_lock
from mlops_platform.dependencies import Services
from mlops_platform.jobs import JOBS
from mlops_platform.kit.heartbeat import beat
from mlops_platform.kit.jobs import Job
from mlops_platform.settings import Settings
from mlops_platform.telemetry import logging as telemetry_logging
from mlops_platform.telemetry import metrics, spans
from mlops_platform.telemetry.exposition import registry

_BEAT_SECONDS = 1.0

log = structlog.get_logger(__name__)


async def run_job(job: Job, services: Services) -> str:
    """Run one pass; return 'ok', 'failed' or 'busy' (another worker holds the job). Never raises."""
    began = time.perf_counter()
    try:
        result = await (_exclusively(job, services) if job.exclusive else _run(job, services))
    except (
        Exception
    ):  # the worker's boundary: one failing job must not stop the others; it is logged, counted and retried
        log.exception("job failed", job=job.name)
        result = "failed"
        if job.pipeline:
            metrics.data_pipeline_failures_total.labels(job.name).inc()
    metrics.worker_job_runs_total.labels(job.name, result).inc()
    metrics.worker_job_seconds.labels(job.name).observe(time.perf_counter() - began)
    if result == "ok":
        metrics.worker_last_success_timestamp_seconds.labels(job.name).set_to_current_time()
    return result


async def _run(job: Job, services: Services) -> str:
    await job.run(services)
    return "ok"


async def _exclusively(job: Job, services: Services) -> str:
    async with try_lock(services.database, f"job:{job.name}") as held:
        return await _run(job, services) if held else "busy"


async def run(services: Services, stop: asyncio.Event, names: Collection[str] = ()) -> None:
    """Run the jobs of these names, by default all, until `stop` is set; passes that run then may finish."""

    async def repeat(job: Job) -> None:
        while not stop.is_set():
            await run_job(job, services)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), job.every_seconds)

    chosen = [job for job in JOBS if not names or job.name in names]
    for job in chosen:
        # start at 0: a counter that first appears with value 1 shows no increase, so the alert would miss the first failure
        metrics.worker_items_given_up_total.labels(job.name).inc(0)
        if job.pipeline:
            metrics.data_pipeline_failures_total.labels(job.name).inc(0)
    log.info("worker started", jobs=[job.name for job in chosen])
    await asyncio.gather(*(repeat(job) for job in chosen for _ in range(job.copies(services))))
    log.info("worker stopped")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; without arguments the worker does everything and is asked nothing."""
    parser = argparse.ArgumentParser(prog="mlops_platform.worker", description=__doc__)
    parser.add_argument(
        "--job", action="append", choices=[job.name for job in JOBS], help="run this job only; may be repeated"
    )
    return parser.parse_args(arguments)


async def _keep_beating(heartbeat: Path) -> None:
    """Say every second, to who supervises this process, that its event loop turns."""
    while True:
        beat(heartbeat)
        await asyncio.sleep(_BEAT_SECONDS)


async def main(chosen: argparse.Namespace) -> None:
    """Run the worker until SIGTERM or SIGINT."""
    telemetry_logging.configure("worker")
    spans.start("worker")
    settings = Settings()
    services = build(settings)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, settings.host, registry())
    stop = asyncio.Event()
    beating = asyncio.create_task(_keep_beating(settings.heartbeat_file)) if settings.heartbeat_file else None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await run(services, stop, chosen.job or ())
    finally:
        if beating is not None:
            beating.cancel()
        await services.runtime.close()
        await services.database.dispose()


if __name__ == "__main__":
    asyncio.run(main(options()))
