"""Versions registered with a plain MLflow client appear in the catalogue within seconds."""

from datetime import timedelta
from typing import get_args

from sqlalchemy import func, select

from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job
from mlops_platform.models import mirror
from mlops_platform.models.stages import Stage
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family


async def _copy_changes(services: Services) -> None:
    async with services.database.read_session() as session:
        models_seen = await session.scalar(select(func.max(ModelRow.updated_at)))
        versions_seen = await session.scalar(select(func.max(ModelVersionRow.registry_updated_at)))
        recent = select(ModelVersionRow.name, ModelVersionRow.version, ModelVersionRow.registry_updated_at)
        if versions_seen is not None:
            # as far back as the registry's answer overlaps
            recent = recent.where(ModelVersionRow.registry_updated_at >= versions_seen - timedelta(minutes=1))
        known = {(row.name, row.version): row.registry_updated_at for row in await session.execute(recent)}
    models = await services.registry.changed_models(models_seen)
    changed = await services.registry.changed_versions(versions_seen)
    async with services.database.session() as session:
        for model in models:
            await mirror.put_model(session, model)
    for version in changed:
        # a search overlaps in time so that nothing is missed; what is known already costs nothing
        if known.get((version.name, version.version)) == version.updated_at:
            continue
        async with services.database.session() as session:
            await mirror.copy(session, services.registry, version.name, version.version)


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
    Job("registry-mirror", 3, _copy_changes, pipeline=True),
    Job("model-metrics", 10, _measure, exclusive=False),
)
