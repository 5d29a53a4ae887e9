"""Builds and reconciliation, apart, so that a long build holds up no rollout; and counting."""

from mlops_platform.deployments.builds import build_pending
from mlops_platform.deployments.measurements import measure_waiting
from mlops_platform.deployments.measures import measure
from mlops_platform.deployments.reconciler import reconcile
from mlops_platform.kit.jobs import Job

# not exclusive: several workers share the work, each deployment and each build under a lock of its own
JOBS = (
    Job("deployment-builds", 0.5, build_pending, exclusive=False),
    Job("gate-measurements", 0.5, measure_waiting, exclusive=False),
    Job("deployment-reconcile", 0.5, reconcile, exclusive=False),
    Job("deployment-metrics", 10, measure, exclusive=False),
)
