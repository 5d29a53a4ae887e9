"""What people do to a deployment that exists: promote, pause, resume, roll back, undeploy."""

from collections.abc import Awaitable, Callable
from typing import Literal

from mlops_platform.approvals import service as approvals
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.database.session import Session
from mlops_platform.deployments import repository, service
from mlops_platform.deployments.schemas import DeploymentDetail
from mlops_platform.deployments.service import DeploymentNotFound, NothingToOperate
from mlops_platform.deployments.state import ENDED
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.identity.principal import Principal
from mlops_platform.telemetry import metrics

Operation = Literal["promote", "pause", "resume", "rollback", "undeploy"]
_Act = Callable[[Session, DeploymentRow, list[RevisionRow], Principal, str], Awaitable[None]]


async def operate(
    session: Session, caller: Principal, deployment_id: str, operation: Operation, reason: str
) -> DeploymentDetail:
    """Change what is wanted of a deployment, with its audit event. Raises DeploymentNotFound and NothingToOperate."""
    deployment = await repository.locked(session, caller, deployment_id)
    if deployment is None:
        raise DeploymentNotFound(deployment_id)
    revisions = await repository.revisions(session, deployment_id)
    await _ACTS[operation](session, deployment, revisions, caller, reason)
    deployment.generation += 1
    await session.flush()
    await audit.record(
        session,
        action=Action.DEPLOYMENT_OPERATED,
        actor=caller,
        resource=f"deployment:{deployment.id}",
        tenant=deployment.tenant,
        details={"operation": operation, "reason": reason},
    )
    metrics.deployment_operations_total.labels(operation).inc()
    await repository.bump_routing(session)
    return await service.get(session, caller, deployment_id)


async def make_live(
    session: Session, deployment: DeploymentRow, revisions: list[RevisionRow], chosen: RevisionRow, actor: service.Actor
) -> None:
    """Give a revision all traffic; the one that had it becomes standby."""
    for other in revisions:
        if other.id != chosen.id and other.state == "live":
            await service.move(session, deployment, other, "standby", f"replaced by revision {chosen.number}", actor)
        if other.id != chosen.id:
            other.traffic = 0.0
    await service.move(session, deployment, chosen, "live", "", actor)
    chosen.traffic = 1.0
    deployment.desired_version = chosen.version


async def _promote(
    session: Session, deployment: DeploymentRow, revisions: list[RevisionRow], caller: Principal, reason: str
) -> None:
    rolling = _one(revisions, "rolling_out")
    if rolling is None:
        raise NothingToOperate("No revision is rolling out; deploy a version first.")
    await make_live(session, deployment, revisions, rolling, caller)
    deployment.desired_paused = False


async def _pause(
    session: Session, deployment: DeploymentRow, revisions: list[RevisionRow], caller: Principal, reason: str
) -> None:
    if not any(revision.state not in ENDED for revision in revisions):
        raise NothingToOperate("Nothing is deployed here.")
    deployment.desired_paused = True


async def _resume(
    session: Session, deployment: DeploymentRow, revisions: list[RevisionRow], caller: Principal, reason: str
) -> None:
    if not deployment.desired_paused:
        raise NothingToOperate("The deployment is not paused.")
    deployment.desired_paused = False


async def _rollback(
    session: Session, deployment: DeploymentRow, revisions: list[RevisionRow], caller: Principal, reason: str
) -> None:
    rolling = _one(revisions, "rolling_out") or _one(revisions, "starting")
    if rolling is not None:
        await service.move(session, deployment, rolling, "rolled_back", reason or "rolled back by hand", caller)
        if live := _one(revisions, "live"):
            live.traffic, deployment.desired_version = 1.0, live.version
        return
    live, standby = _one(revisions, "live"), _one(revisions, "standby")
    if live is None or standby is None:
        raise NothingToOperate("There is no earlier revision to go back to.")
    await service.move(session, deployment, live, "rolled_back", reason or "rolled back by hand", caller)
    await make_live(session, deployment, revisions, standby, caller)


async def _undeploy(
    session: Session, deployment: DeploymentRow, revisions: list[RevisionRow], caller: Principal, reason: str
) -> None:
    open_ones = [revision for revision in revisions if revision.state not in ENDED]
    if not open_ones:
        raise NothingToOperate("Nothing is deployed here.")
    for revision in open_ones:
        await service.move(session, deployment, revision, "retired", reason or "undeployed", caller)
        await approvals.withdraw(session, revision.id, "the deployment was undeployed")
    deployment.desired_version, deployment.desired_paused = None, False


def _one(revisions: list[RevisionRow], state: str) -> RevisionRow | None:
    return next((revision for revision in revisions if revision.state == state), None)


_ACTS: dict[Operation, _Act] = {
    "promote": _promote,
    "pause": _pause,
    "resume": _resume,
    "rollback": _rollback,
    "undeploy": _undeploy,
}
