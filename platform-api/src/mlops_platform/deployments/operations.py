"""What people do to a deployment that exists: promote, pause, resume, roll back, undeploy."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from mlops_platform.approvals import service as approvals
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.deployments import repository, service
from mlops_platform.deployments.revisions import Deployment, Revision, give_back, make_live, move
from mlops_platform.deployments.schemas import DeploymentDetail, deployment_etag
from mlops_platform.deployments.service import DeploymentNotFound
from mlops_platform.deployments.state import ENDED
from mlops_platform.errors import Conflict, Invalid
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.etags import demand_unchanged
from mlops_platform.telemetry import metrics

Operation = Literal["promote", "pause", "resume", "rollback", "undeploy"]
# they take something from people who use it: who reads the history must find out why
NEEDS_REASON: frozenset[Operation] = frozenset({"rollback", "undeploy"})
_Act = Callable[[Session, Deployment, list[Revision], Principal, str], Awaitable[None]]


class NothingToOperate(Conflict):
    """The operation has no revision to act on."""

    title = "There is nothing this operation could act on"


class OperationNeedsReason(Invalid):
    """A rollback or an undeployment without a reason."""

    title = "A reason is needed"

    def __init__(self, operation: Operation) -> None:
        super().__init__(f"Say why: send 'reason' with {operation}; it is kept in the audit log.")


class _HasState(Protocol):
    @property
    def state(self) -> str: ...


def possible(revisions: Sequence[_HasState], *, paused: bool) -> list[Operation]:
    """Return the operations that would change something now, the ones that take something away last."""
    states = [revision.state for revision in revisions]
    rolling, starting = "rolling_out" in states, "starting" in states
    return_possible = rolling or starting or ("live" in states and "standby" in states)
    deployed = any(state not in ENDED for state in states)
    found: list[tuple[Operation, bool]] = [
        ("promote", rolling),
        ("pause", deployed and not paused),
        ("resume", paused),
        ("rollback", return_possible),
        ("undeploy", deployed),
    ]
    return [operation for operation, can in found if can]


async def operate(
    session: Session,
    authorizer: Authorizer,
    caller: Principal,
    deployment_id: str,
    operation: Operation,
    reason: str,
    if_match: str | None = None,
) -> DeploymentDetail:
    """Change what is wanted of a deployment, with its audit event.

    People who requested everything that runs in a staging deployment may operate it without an operator's role. Raises
    DeploymentNotFound, NotPermitted, ChangedSinceRead, OperationNeedsReason and NothingToOperate.
    """
    deployment = await repository.locked(session, caller, deployment_id)
    if deployment is None:
        raise DeploymentNotFound(deployment_id)
    revisions = await repository.revisions(session, deployment_id)
    demand(
        authorizer, caller, "deployment:operate", deployment.tenant, own=service.is_own(deployment, revisions, caller)
    )
    current = deployment_etag(deployment.id, revisions, paused=deployment.desired_paused)
    demand_unchanged("deployment", if_match, current)
    if operation in NEEDS_REASON and not reason.strip():
        raise OperationNeedsReason(operation)
    if operation not in possible(revisions, paused=deployment.desired_paused):
        raise NothingToOperate(_IMPOSSIBLE[operation])
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
    # the answer shows it in the history
    await audit.append(session)
    return await service.get(session, authorizer, caller, deployment_id)


async def may_operate(
    session: ReadSession, authorizer: Authorizer, caller: Principal, deployment_id: str
) -> list[Operation]:
    """Return what the caller may do and what would change something; empty when it is not theirs to operate."""
    deployment = await session.get(Deployment, deployment_id)
    if deployment is None:
        return []
    revisions = await repository.revisions(session, deployment_id)
    own = service.is_own(deployment, revisions, caller)
    if not authorizer.allowed(caller, "deployment:operate", deployment.tenant, own=own):
        return []
    return possible(revisions, paused=deployment.desired_paused)


async def _promote(
    session: Session, deployment: Deployment, revisions: list[Revision], caller: Principal, reason: str
) -> None:
    rolling = _one(revisions, "rolling_out")
    assert rolling is not None, "possible() found it"
    await make_live(session, deployment, revisions, rolling, caller)
    deployment.desired_paused = False


async def _pause(
    session: Session, deployment: Deployment, revisions: list[Revision], caller: Principal, reason: str
) -> None:
    deployment.desired_paused = True


async def _resume(
    session: Session, deployment: Deployment, revisions: list[Revision], caller: Principal, reason: str
) -> None:
    deployment.desired_paused = False


async def _rollback(
    session: Session, deployment: Deployment, revisions: list[Revision], caller: Principal, reason: str
) -> None:
    rolling = _one(revisions, "rolling_out") or _one(revisions, "starting")
    if rolling is not None:
        await give_back(session, deployment, rolling, reason, caller)
        return
    live, standby = _one(revisions, "live"), _one(revisions, "standby")
    assert live is not None, "possible() found it"
    assert standby is not None, "possible() found it"
    await move(session, deployment, live, "rolled_back", reason, caller)
    await make_live(session, deployment, revisions, standby, caller)


async def _undeploy(
    session: Session, deployment: Deployment, revisions: list[Revision], caller: Principal, reason: str
) -> None:
    for revision in [revision for revision in revisions if revision.state not in ENDED]:
        await move(session, deployment, revision, "retired", reason, caller)
        await approvals.close(session, revision.id, "the deployment was undeployed")
    deployment.desired_paused = False


def _one(revisions: list[Revision], state: str) -> Revision | None:
    return next((revision for revision in revisions if revision.state == state), None)


_ACTS: dict[Operation, _Act] = {
    "promote": _promote,
    "pause": _pause,
    "resume": _resume,
    "rollback": _rollback,
    "undeploy": _undeploy,
}
_IMPOSSIBLE: dict[Operation, str] = {
    "promote": "No revision is rolling out; deploy a version first.",
    "pause": "Nothing is deployed here, or it is paused already.",
    "resume": "The deployment is not paused.",
    "rollback": "There is no earlier revision to go back to.",
    "undeploy": "Nothing is deployed here.",
}
