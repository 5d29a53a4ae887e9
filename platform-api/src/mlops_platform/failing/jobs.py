"""Showing Prometheus what failed for good, so that somebody hears of it who reads no list."""

from mlops_platform.dependencies import Services
from mlops_platform.failing import service
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family

_FAILED = Family(metrics.worker_items_failed_for_good, gone=0)


async def _measure(services: Services) -> None:
    async with services.database.read_session() as session:
        _FAILED.replace({(job,): count for job, count in (await service.failed_for_good(session)).items()})


JOBS = (Job("failing-metrics", 10, _measure, exclusive=False),)
