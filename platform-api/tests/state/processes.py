"""`python -m tests.state.processes`: makes API processes and workers by forking, so that a killed one is back at once.

Each line of stdin is an order: `api PORT LOG` or `worker LOG`; the answer is a line with the new process's number.
"""

import asyncio
import os
import signal
import sys

import uvicorn

from mlops_platform import bootstrap, worker
from mlops_platform.adapters.delta import prediction_log
from mlops_platform.adapters.feast import store
from mlops_platform.adapters.openssf import signer
from mlops_platform.app import compose
from mlops_platform.jobs import JOBS
from mlops_platform.kit.jobs import Job
from mlops_platform.settings import Settings
from mlops_platform.telemetry import logging as telemetry_logging

from ..support.parts import quick

# loaded once, before the first fork
LOADED = (prediction_log, store, signer)
_WORK = frozenset(
    {
        "registry-mirror",
        "approval-expiry",
        "deployment-builds",
        "gate-measurements",
        "deployment-reconcile",
        "audit-anchor",
    }
)
# much more often than in earnest: two workers shall meet
_PAUSE_SECONDS = 0.03


def api(port: int) -> None:
    telemetry_logging.configure("api")
    uvicorn.run(
        compose(quick(bootstrap.build(Settings()))), host="127.0.0.1", port=port, log_config=None, access_log=False
    )


def work() -> None:
    telemetry_logging.configure("worker")
    asyncio.run(_work())


async def _work() -> None:
    services = quick(bootstrap.build(Settings()))

    async def repeat(job: Job) -> None:
        while True:
            await worker.run_job(job, services)
            await asyncio.sleep(_PAUSE_SECONDS)

    await asyncio.gather(*(repeat(job) for job in JOBS if job.name in _WORK))


def main() -> None:
    # nobody waits for the children here: who ordered them kills them
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)  # noqa: T201 - the protocol
    for line in sys.stdin:
        kind, *arguments = line.split()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = os.open(arguments[-1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for stream in (0, 1, 2):
                os.dup2(log, stream)
            try:
                api(int(arguments[0])) if kind == "api" else work()
            finally:
                os._exit(1)
        print(child, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
