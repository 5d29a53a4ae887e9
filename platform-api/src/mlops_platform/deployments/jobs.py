"""Counting deployments."""

from mlops_platform.deployments.gauges import update_gauges
from mlops_platform.kit.jobs import Job

# not exclusive: every worker shows the gauges in its own exposition
JOBS = (Job("deployment-metrics", 10, update_gauges, exclusive=False),)
