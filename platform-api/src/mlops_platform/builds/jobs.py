"""Builds and gate runs; apart from rollouts, so that a long build holds up none."""

from mlops_platform.builds.building import build_pending
from mlops_platform.builds.gate_runs import measure_waiting
from mlops_platform.kit.jobs import Job

# not exclusive: several workers share the work, each version under a lock of its own
JOBS = (
    Job("deployment-builds", 0.5, build_pending, exclusive=False),
    Job("gate-measurements", 0.5, measure_waiting, exclusive=False),
)
