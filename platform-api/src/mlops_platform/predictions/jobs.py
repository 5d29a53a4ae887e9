"""Moving answered predictions from segments to the table."""

import anyio

from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job


async def _move(services: Services) -> None:
    await anyio.to_thread.run_sync(services.prediction_log.move)


JOBS = (Job("prediction-log", 2, _move),)
