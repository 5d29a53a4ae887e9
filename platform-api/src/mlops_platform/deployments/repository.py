"""Reading deployments. Every query of a person starts from what that person may see."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow, RoutingGenerationRow
from mlops_platform.identity.principal import Principal


def visible_to(caller: Principal | None) -> Select[Any]:
    """Return the deployments a caller may see (None: the platform itself sees all)."""
    query = select(DeploymentRow)
    return query if caller is None or caller.company_wide else query.where(DeploymentRow.tenant == caller.tenant)


async def revisions(session: ReadSession | Session, deployment_id: str) -> list[RevisionRow]:
    """Return a deployment's revisions, newest first."""
    query = select(RevisionRow).where(RevisionRow.deployment_id == deployment_id).order_by(RevisionRow.number.desc())
    return list((await session.execute(query)).scalars())


async def revisions_of(session: ReadSession, deployment_ids: list[str]) -> dict[str, list[RevisionRow]]:
    """Return the revisions of several deployments, newest first."""
    query = select(RevisionRow).where(RevisionRow.deployment_id.in_(deployment_ids)).order_by(RevisionRow.number.desc())
    found: dict[str, list[RevisionRow]] = {}
    for row in (await session.execute(query)).scalars():
        found.setdefault(row.deployment_id, []).append(row)
    return found


async def locked(session: Session, caller: Principal | None, deployment_id: str) -> DeploymentRow | None:
    """Return a deployment, locked until the transaction ends."""
    query = visible_to(caller).where(DeploymentRow.id == deployment_id).with_for_update(of=DeploymentRow)
    row: DeploymentRow | None = (
        await session.execute(query.execution_options(populate_existing=True))
    ).scalar_one_or_none()
    return row


async def bump_routing(session: Session) -> int:
    """Notify API processes, with this transaction's commit, that routes changed; return the new generation."""
    statement = insert(RoutingGenerationRow).values(id=1, generation=1)
    bumped = {"generation": RoutingGenerationRow.generation + 1}
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_=bumped)
    return (await session.execute(upsert.returning(RoutingGenerationRow.generation))).scalar_one()


async def routing_generation(session: ReadSession) -> int:
    """Return the present routing generation."""
    return await session.scalar(select(RoutingGenerationRow.generation).where(RoutingGenerationRow.id == 1)) or 0
