"""Every room's jobs in one list: what the worker does."""

from mlops_platform.approvals import jobs as approvals
from mlops_platform.audit import jobs as audit
from mlops_platform.backup import jobs as backup
from mlops_platform.builds import jobs as builds
from mlops_platform.costs import jobs as costs
from mlops_platform.deployments import jobs as deployments
from mlops_platform.failing import jobs as failing
from mlops_platform.features import jobs as features
from mlops_platform.idempotency import jobs as idempotency
from mlops_platform.identity import jobs as identity
from mlops_platform.kit.jobs import Job
from mlops_platform.mlflow_door import jobs as mlflow_door
from mlops_platform.models import jobs as models
from mlops_platform.monitoring import jobs as monitoring
from mlops_platform.notifications import jobs as notifications
from mlops_platform.predictions import jobs as predictions
from mlops_platform.rollouts import jobs as rollouts
from mlops_platform.statements import revoking as statements

JOBS: tuple[Job, ...] = (
    *models.JOBS,
    *mlflow_door.JOBS,
    *approvals.JOBS,
    *notifications.JOBS,
    *builds.JOBS,
    *rollouts.JOBS,
    *statements.JOBS,
    *deployments.JOBS,
    *predictions.JOBS,
    *features.JOBS,
    *monitoring.JOBS,
    *audit.JOBS,
    *idempotency.JOBS,
    *identity.JOBS,
    *costs.JOBS,
    *backup.JOBS,
    *failing.JOBS,
)
