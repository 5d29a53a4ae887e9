"""Reconciliation of what runs with what is wanted."""

from mlops_platform.kit.jobs import Job
from mlops_platform.rollouts.lost_bundles import JOB as LOST_BUNDLES
from mlops_platform.rollouts.lost_bundles import build_again
from mlops_platform.rollouts.lost_libraries import JOB as LOST_LIBRARIES
from mlops_platform.rollouts.lost_libraries import collect, install_again
from mlops_platform.rollouts.reconciler import reconcile
from mlops_platform.rollouts.reviews import JOB, review

# not exclusive: several workers share the work, each deployment under a lock of its own
JOBS = (
    Job("deployment-reconcile", 0.5, reconcile, exclusive=False),
    Job(JOB, 15, review),
    Job(LOST_BUNDLES, 5, build_again, exclusive=False),
    Job(LOST_LIBRARIES, 30, install_again),
    Job("unused-libraries", 3_600, collect),
)
