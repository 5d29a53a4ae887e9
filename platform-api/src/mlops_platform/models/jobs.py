"""Versions registered with a plain MLflow client appear in the catalogue within seconds."""

from typing import get_args

from sqlalchemy import func, select

from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job
from mlops_platform.models import copying, flavours
from mlops_platform.models.stages import Stage
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family


async def _measure(services: Services) -> None:
    async with services.database.read_session() as session:
        by_tenant = select(ModelRow.tenant, func.count()).group_by(ModelRow.tenant)
        by_stage = select(ModelVersionRow.stage, func.count()).group_by(ModelVersionRow.stage)
        tenants = {(tenant,): float(count) for tenant, count in (await session.execute(by_tenant)).all()}
        stages = {(stage,): float(count) for stage, count in (await session.execute(by_stage)).all()}
    _TENANTS.replace(tenants)
    _STAGES.replace({(stage,): 0.0 for stage in get_args(Stage)} | stages)


_TENANTS = Family(metrics.models_registered, gone=0)
_STAGES = Family(metrics.model_versions, gone=0)
JOBS = (
    Job(copying.JOB, 3, copying.copy_changes, pipeline=True),
    Job("flavour-checks", 3, flavours.check_new),
    Job("model-metrics", 10, _measure, exclusive=False),
)
