"""The lifecycle stage of a version follows where it is live, whoever brought it there."""

from sqlalchemy import select

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import Session
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.identity.principal import Principal
from mlops_platform.models import service as models
from mlops_platform.models.stages import Stage


async def follow(session: Session, model_name: str, version: int, tenant: str, actor: Principal | SystemActor) -> None:
    """Set a version's stage to the highest environment it is live in; live nowhere, it is back in validation."""
    query = (
        select(DeploymentRow.environment)
        .join(RevisionRow, RevisionRow.deployment_id == DeploymentRow.id)
        .where(DeploymentRow.model_name == model_name, RevisionRow.version == version, RevisionRow.state == "live")
    )
    places = set((await session.execute(query)).scalars())
    stage: Stage = "production" if "production" in places else "staging" if "staging" in places else "validation"
    await models.set_stage(session, model_name, version, stage, actor, tenant)
