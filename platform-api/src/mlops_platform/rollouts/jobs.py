"""Reconciliation of what runs with what is wanted."""

from mlops_platform.kit.jobs import Job
from mlops_platform.rollouts.reconciler import reconcile

# not exclusive: several workers share the work, each deployment under a lock of its own
JOBS = (Job("deployment-reconcile", 0.5, reconcile, exclusive=False),)
