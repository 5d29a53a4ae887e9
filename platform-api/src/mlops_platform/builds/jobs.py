"""Builds and gate runs; apart from rollouts, so that a long build holds up none."""

from mlops_platform.builds.building import build_pending
from mlops_platform.builds.gate_runs import measure_waiting
from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job
from mlops_platform.kit.machine import cores


def at_once(services: Services) -> int:
    """Return how many models one worker builds beside each other: as the operator says, else one for every two cores."""
    return services.settings.builds_at_once or max(1, cores() // 2)


# not exclusive: passes and workers share the work, each version under a lock of its own
JOBS = (
    Job("deployment-builds", 0.5, build_pending, exclusive=False, copies=at_once),
    Job("gate-measurements", 0.5, measure_waiting, exclusive=False),
)
