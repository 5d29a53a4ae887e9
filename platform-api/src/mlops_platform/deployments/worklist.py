"""What builds and rollouts have to work on: reading only, for the platform itself, so nothing is hidden by tenant."""

from dataclasses import dataclass

from sqlalchemy import or_, select

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.deployments import repository
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.deployments.state import IN_MOTION, RUNNING


@dataclass(frozen=True)
class BuildOrder:
    """A revision that waits to be built."""

    revision_id: str
    model_name: str
    version: int
    tenant: str
    digest: str


async def to_build(session: ReadSession) -> list[BuildOrder]:
    """Return the revisions that wait to be built: approved ones first, then by age."""
    query = (
        select(Revision.id, Deployment.model_name, Revision.version, Deployment.tenant, Revision.digest)
        .join(Deployment, Deployment.id == Revision.deployment_id)
        .where(Revision.build == "pending", Revision.state.in_(("awaiting_approval", "approved")))
        .order_by(Revision.state != "approved", Revision.created_at)
    )
    return [BuildOrder(*row) for row in (await session.execute(query)).all()]


async def to_reconcile(session: ReadSession) -> list[str]:
    """Return the deployments that changed since they were last acted on, or have a revision on its way."""
    moving = select(Revision.deployment_id).where(Revision.state.in_(("approved", *IN_MOTION)))
    query = select(Deployment.id).where(
        or_(Deployment.generation > Deployment.observed_generation, Deployment.id.in_(moving))
    )
    return list((await session.execute(query)).scalars())


async def revision(session: ReadSession, revision_id: str) -> tuple[Revision, Deployment]:
    """Return a revision with its deployment, unlocked."""
    query = select(Revision, Deployment).join(Deployment).where(Revision.id == revision_id)
    found, deployment = (await session.execute(query)).one()
    return found, deployment


async def deployment(session: ReadSession | Session, deployment_id: str) -> Deployment | None:
    """Return a deployment, None when there is none."""
    return await session.get(Deployment, deployment_id)


async def revisions(session: ReadSession | Session, deployment_id: str) -> list[Revision]:
    """Return a deployment's revisions, newest first."""
    return await repository.revisions(session, deployment_id)


async def running(session: ReadSession) -> list[tuple[Revision, Deployment]]:
    """Return every revision that should have a process."""
    query = select(Revision, Deployment).join(Deployment).where(Revision.state.in_(RUNNING))
    return [(found, place) for found, place in (await session.execute(query)).all()]
