"""The only writer of a revision's state, build, traffic and step, and of what a deployment was seen to do.

Builds, rollouts, operations and settled approvals all end here. Lock order: the deployment's row first, then its
revision, then the approval, the audit tree last; `locked` and `HeldRevisions.lock` take the first two.
"""

from typing import Any

from mlops_platform.approvals import service as approvals
from mlops_platform.approvals.interfaces import Subjects
from mlops_platform.approvals.schemas import Approval
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import Session
from mlops_platform.deployments import lifecycle, notices, repository
from mlops_platform.deployments.state import ANSWERING, RUNNING, Build, State, check
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.notifications.outbox import tell
from mlops_platform.telemetry import metrics

# names for other rooms: they read these and change them through this file only
Deployment = DeploymentRow
Revision = RevisionRow
Actor = Principal | SystemActor

# revisions that answered before and are kept for an instant rollback
KEPT_STANDBY = 2


async def locked(session: Session, revision_id: str) -> tuple[Revision, Deployment]:
    """Return a revision and its deployment, both locked until the transaction ends, as they are now."""
    revision = await session.get(RevisionRow, revision_id)
    assert revision is not None, "revisions are never deleted"
    deployment = await repository.locked(session, None, revision.deployment_id)
    assert deployment is not None, "deployments are never deleted"
    await session.refresh(revision, with_for_update=True)
    return revision, deployment


async def move(
    session: Session, deployment: Deployment, revision: Revision, state: State, reason: str, actor: Actor
) -> None:
    """Take a revision to another state, with its audit event and the lifecycle stage of its version.

    Raises ForbiddenTransition.
    """
    check(revision.state, state, revision.build)  # type: ignore[arg-type]  # the columns hold these literals
    before, revision.state, revision.reason, revision.updated_at = revision.state, state, reason, now()
    if state not in ANSWERING:
        revision.traffic = 0.0
    deployment.updated_at = revision.updated_at
    await session.flush()
    details = {"revision": revision.number, "version": revision.version, "from": before, "to": state, "reason": reason}
    await _record(session, Action.DEPLOYMENT_STATE_CHANGED, deployment, actor, details)
    if "live" in {before, state}:
        await lifecycle.follow(session, deployment.model_name, revision.version, deployment.tenant, actor)
    metrics.deployment_state_changes_total.labels(deployment.environment, state).inc()
    if state == "rolled_back":
        by = "gate" if isinstance(actor, SystemActor) else "person"
        metrics.deployment_rollbacks_total.labels(deployment.environment, by).inc()
        await tell(session, notices.rolled_back(deployment, revision, reason, actor))


async def refuse(session: Session, deployment: Deployment, revision: Revision, why: str, actor: Actor) -> None:
    """End a revision whose version cannot be built, and tell who asked for it."""
    record_refusal(revision)
    await end(session, deployment, revision, why, actor)
    await tell(session, notices.refused(deployment, revision, why))


async def end(session: Session, deployment: Deployment, revision: Revision, reason: str, actor: Actor) -> None:
    """Fail a revision that does not run yet and close the approval it waits for; one that is over stays as it is."""
    if revision.state in {"awaiting_approval", "approved"}:
        await move(session, deployment, revision, "failed", reason, actor)
        await approvals.close(session, revision.id, reason)
    deployment.generation += 1


async def record_build(
    session: Session,
    deployment: Deployment,
    revision: Revision,
    *,
    bundle: str,
    engine: str,
    feature_refs: list[str],
    details: dict[str, Any],
    actor: Actor,
) -> None:
    """Keep where a revision's bundle is and what runs it; features named at the request win over the bundle's."""
    revision.build, revision.bundle, revision.engine = "built", bundle, engine
    revision.feature_refs = revision.feature_refs or feature_refs
    deployment.generation += 1
    await _record(
        session, Action.DEPLOYMENT_BUILT, deployment, actor, {"revision": revision.number, "engine": engine, **details}
    )


async def record_rebuild(
    session: Session, deployment: Deployment, revision: Revision, bundle: str, key: str | None, actor: Actor
) -> None:
    """Keep where the bundle of a revision is that was lost and built again; who answers predictions reads it anew."""
    revision.bundle, deployment.observed_message = bundle, ""
    details: dict[str, Any] = {"revision": revision.number, "engine": revision.engine, "digest": revision.digest}
    details |= {"signed_with": key, "again": "its bundle was missing"}
    await _record(session, Action.DEPLOYMENT_BUILT, deployment, actor, details)
    await repository.bump_routing(session)


def record_refusal(revision: Revision) -> None:
    """Keep that a revision cannot be built."""
    refused: Build = "refused"
    revision.build = refused


def explain(revision: Revision, reason: str) -> None:
    """Say beside a revision why it does not go on yet."""
    revision.reason, revision.updated_at = reason, now()


async def make_live(
    session: Session, deployment: Deployment, revisions: list[Revision], chosen: Revision, actor: Actor
) -> None:
    """Give a revision all traffic; the one that had it becomes standby."""
    for other in revisions:
        if other.id != chosen.id and other.state == "live":
            await move(session, deployment, other, "standby", f"replaced by revision {chosen.number}", actor)
        if other.id != chosen.id:
            other.traffic = 0.0
    await move(session, deployment, chosen, "live", "", actor)
    chosen.traffic = 1.0
    await tell(session, notices.live(deployment, chosen))
    deployment.observed_message = ""
    await repository.bump_routing(session)


async def take_step(session: Session, deployment: Deployment, revision: Revision, step: int, actor: Actor) -> None:
    """Give a revision the share of this step of its plan; what is live keeps the rest.

    With nothing live beside it, a first revision takes everything from the start.
    """
    share = float(revision.plan[step]["traffic"])
    live = next((other for other in await repository.revisions(session, deployment.id) if other.state == "live"), None)
    revision.step, revision.step_began_at = step, now()
    revision.traffic = share if live else 1.0
    if live:
        live.traffic = 1.0 - share
    await session.flush()
    details = {"revision": revision.number, "step": step, "traffic": revision.traffic}
    await _record(session, Action.DEPLOYMENT_ROLLOUT_STEPPED, deployment, actor, details)
    generation = await repository.bump_routing(session)
    # from this generation on, the revision is among the routes
    revision.routed_generation = revision.routed_generation or generation


async def give_back(session: Session, deployment: Deployment, revision: Revision, reason: str, actor: Actor) -> None:
    """Roll back a revision that is starting or rolling out; what is live answers everything again."""
    await move(session, deployment, revision, "rolled_back", reason, actor)
    for other in await repository.revisions(session, deployment.id):
        if other.state == "live":
            other.traffic = 1.0
    await repository.bump_routing(session)


async def fail_start(session: Session, deployment: Deployment, revision: Revision, reason: str, actor: Actor) -> None:
    """Fail a revision whose process will not come up."""
    await move(session, deployment, revision, "failed", reason, actor)
    await tell(session, notices.failed(deployment, revision, reason))
    await repository.bump_routing(session)


async def retire_surplus(session: Session, deployment: Deployment, actor: Actor) -> None:
    """Retire what is beyond the revisions kept for a rollback."""
    every = await repository.revisions(session, deployment.id)
    for revision in [row for row in every if row.state == "standby"][KEPT_STANDBY:]:
        await move(session, deployment, revision, "retired", "two newer revisions are kept for a rollback", actor)
        await repository.bump_routing(session)


async def review(session: Session, deployment: Deployment, revision: Revision, reason: str, actor: Actor) -> None:
    """Mark what answers as due for review, or clear that (`reason` empty); the event says which. Twice is once."""
    if (revision.review_since is not None) == bool(reason):
        return
    revision.review_since, revision.review_reason = (now() if reason else None), reason
    await session.flush()
    action = Action.DEPLOYMENT_REVIEW_DUE if reason else Action.DEPLOYMENT_REVIEW_CLEARED
    details = {"revision": revision.number, "version": revision.version, "reason": reason}
    await _record(session, action, deployment, actor, details)
    if reason:
        await tell(session, notices.review_due(deployment, revision, reason))


async def drain(session: Session, deployment: Deployment, revision: Revision, reason: str, actor: Actor) -> None:
    """Retire what answers and may not any more; when it was live, nothing answers until something else is deployed."""
    await move(session, deployment, revision, "retired", reason, actor)
    deployment.generation += 1
    await repository.bump_routing(session)


async def note(session: Session, deployment_id: str, message: str) -> None:
    """Write beside a deployment what holds it up, where people see it."""
    if (deployment := await repository.locked(session, None, deployment_id)) is not None:
        deployment.observed_message = message


async def observed(session: Session, deployment_id: str, generation: int, actor: Actor) -> None:
    """Keep that everything wanted at this generation has been acted on."""
    if (deployment := await repository.locked(session, None, deployment_id)) is not None:
        await retire_surplus(session, deployment, actor)
        deployment.observed_generation = max(deployment.observed_generation, generation)


class HeldRevisions(Subjects):
    """What approvals hold: a revision goes on, or ends, in the transaction that settles its request."""

    async def lock(self, session: Session, subject_id: str) -> None:
        await locked(session, subject_id)

    async def settled(self, session: Session, approval: Approval) -> None:
        revision, deployment = await locked(session, approval.subject_id)
        if approval.status == "revoked":
            await self._revoked(session, approval, revision, deployment)
            return
        if revision.state != "awaiting_approval":
            return
        assert approval.status != "pending", "a settled request has an outcome"
        await move(session, deployment, revision, approval.status, approval.reason, SystemActor("approvals"))
        deployment.generation += 1

    async def _revoked(self, session: Session, approval: Approval, revision: Revision, deployment: Deployment) -> None:
        because = f"the approval was withdrawn: {approval.reason}"
        if revision.state in RUNNING:
            await review(session, deployment, revision, because, SystemActor("approvals"))
        elif revision.state == "approved":
            await move(session, deployment, revision, "failed", because, SystemActor("approvals"))
            deployment.generation += 1


async def _record(
    session: Session, action: Action, deployment: Deployment, actor: Actor, details: dict[str, Any]
) -> None:
    await audit.record(
        session,
        action=action,
        actor=actor,
        resource=f"deployment:{deployment.id}",
        tenant=deployment.tenant,
        details=details,
    )
