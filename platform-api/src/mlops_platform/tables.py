"""Every room's tables in one list: what migrations and the drift test compare."""

from mlops_platform.approvals import tables as approvals
from mlops_platform.audit import tables as audit
from mlops_platform.builds import tables as builds
from mlops_platform.checks import tables as checks
from mlops_platform.costs import tables as costs
from mlops_platform.database.base import Base
from mlops_platform.deployments import tables as deployments
from mlops_platform.failing import tables as failing
from mlops_platform.idempotency import tables as idempotency
from mlops_platform.identity import tables as identity
from mlops_platform.mlflow_door import tables as mlflow_door
from mlops_platform.models import tables as models
from mlops_platform.notifications import tables as notifications
from mlops_platform.predictions import tables as predictions
from mlops_platform.risk import tables as risk
from mlops_platform.statements import tables as statements

# importing a room's tables declares them on the one MetaData of Base
TABLES = (
    approvals,
    audit,
    builds,
    checks,
    costs,
    deployments,
    failing,
    idempotency,
    identity,
    mlflow_door,
    models,
    notifications,
    predictions,
    risk,
    statements,
)
METADATA = Base.metadata
