"""How many deployments are where: read from the tables, shown as gauges."""

from typing import get_args

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from mlops_platform.dependencies import Services
from mlops_platform.deployments.state import ANSWERING, State
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.kit.clock import now
from mlops_platform.policy.definition import Environment, RiskLevel
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family

_LIVE = Family(metrics.deployments_live, gone=0)
_REVISIONS = Family(metrics.deployment_revisions, gone=0)
_NOTHING_LIVE = {(place, risk): 0.0 for place in get_args(Environment) for risk in get_args(RiskLevel)}
_NO_REVISIONS = {(place, state): 0.0 for place in get_args(Environment) for state in get_args(State)}


async def update_gauges(services: Services) -> None:
    """Show deployments by environment and risk, revisions by state, and what waits for the worker."""
    joined = select(DeploymentRow.environment, RevisionRow.state, func.count()).join(RevisionRow)
    counted = joined.group_by(DeploymentRow.environment, RevisionRow.state)
    answering = (
        select(DeploymentRow.id, DeploymentRow.environment, RevisionRow.risk_level)
        .join(RevisionRow)
        .where(RevisionRow.state.in_(ANSWERING))
        .ext(distinct_on(DeploymentRow.id))
        .order_by(DeploymentRow.id, RevisionRow.traffic.desc(), RevisionRow.number.desc())
    )
    behind = select(func.count()).where(DeploymentRow.generation > DeploymentRow.observed_generation)
    starting = select(func.min(RevisionRow.updated_at)).where(RevisionRow.state.in_(("approved", "starting")))
    async with services.database.read_session() as session:
        revisions = {(place, state): float(count) for place, state, count in (await session.execute(counted)).all()}
        live = [(place, risk) for _, place, risk in (await session.execute(answering)).all()]
        unreconciled = await session.scalar(behind) or 0
        oldest = await session.scalar(starting)
    _REVISIONS.replace(_NO_REVISIONS | revisions)
    _LIVE.replace(_NOTHING_LIVE | {key: float(live.count(key)) for key in set(live)})
    metrics.models_in_production.set(sum(place == "production" for place, _ in live))
    metrics.deployments_unreconciled.set(unreconciled)
    metrics.deployment_oldest_start_seconds.set((now() - oldest).total_seconds() if oldest else 0)
