"""A job is something the worker does again and again; it must be safe to run twice and to be killed at any point."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_platform.dependencies import Services


def _one(_: "Services") -> int:
    return 1


@dataclass(frozen=True)
class Job:
    """One recurring piece of work.

    name: unique, appears in logs and in `worker_job_runs_total{worker_job}`.
    every_seconds: pause between two runs of this job.
    run: one pass; raising is logged, counted, and tried again at the next tick.
    exclusive: hold a PostgreSQL advisory lock while running, so that two workers never run the same pass at once.
    pipeline: moves data; a failed pass is counted in `data_pipeline_failures_total{pipeline}` too.
    copies: how many passes one worker runs beside each other, for a job whose passes share the work by locks of their own.
    """

    name: str
    every_seconds: float
    run: "Callable[[Services], Awaitable[None]]"
    exclusive: bool = True
    pipeline: bool = False
    copies: "Callable[[Services], int]" = _one
