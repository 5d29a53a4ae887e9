"""Asking for deployments, operating them, and telling the data plane what answers."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.approvals import service as approvals
from mlops_platform.approvals.schemas import Approval
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import gates
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.dependencies import Services
from mlops_platform.deployments import repository
from mlops_platform.deployments.interfaces import Placement
from mlops_platform.deployments.schemas import (
    DeploymentDetail,
    DeploymentSummary,
    DeployRequest,
    DeployResponse,
    LiveRevision,
    RevisionView,
    RoutingSnapshot,
)
from mlops_platform.deployments.state import ANSWERING, ENDED, PENDING, State, check
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.errors import Conflict, Invalid, NotFound
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor
from mlops_platform.models import service as models
from mlops_platform.policy.definition import Environment
from mlops_platform.policy.loading import load
from mlops_platform.telemetry import metrics

Actor = Principal | SystemActor

# revisions that answered before and are kept for an instant rollback
KEPT_STANDBY = 2


class DeploymentNotFound(NotFound):
    """No such deployment for this caller."""

    title = "There is no such deployment"

    def __init__(self, deployment_id: str) -> None:
        super().__init__(
            f"There is no deployment '{deployment_id}' that you can see; `mlops deployments list` shows yours."
        )


class NotADeploymentTarget(Invalid):
    """The stage is not an environment."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"'{stage}' is not a place to deploy to; use 'staging' or 'production'.")


class StageSkipped(Conflict):
    """Production takes what was proven in staging."""

    title = "The version was not proven in staging"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"Version {version} of '{name}' does not run in staging; deploy it there first (`mlops deploy {name} {version} --to staging`)."
        )


class AlreadyDeployed(Conflict):
    """The version is there, or on its way."""

    title = "This version is already deployed or on its way"

    def __init__(self, name: str, version: int, environment: str, state: str) -> None:
        super().__init__(f"Version {version} of '{name}' is {state.replace('_', ' ')} in {environment}.")


class AnotherRolloutRuns(Conflict):
    """One rollout at a time."""

    title = "Another version is on its way"

    def __init__(self, version: int, state: str) -> None:
        super().__init__(
            f"Version {version} is {state.replace('_', ' ')} here; let it finish, roll it back or undeploy first."
        )


class NothingToOperate(Conflict):
    """The operation has no revision to act on."""

    title = "There is nothing this operation could act on"


async def deploy(session: Session, services: Services, caller: Principal, body: DeployRequest) -> DeployResponse:
    """Record what is wanted, ask for the approval it needs and write the audit event, in one transaction.

    Raises NotADeploymentTarget, ModelVersionNotFound, AlreadyDeployed, AnotherRolloutRuns, StageSkipped,
    GatesNotPassed and RegistryUnavailable. Building starts at once, while people decide; the worker does the rest.
    """
    if body.target_stage not in ("staging", "production"):
        raise NotADeploymentTarget(body.target_stage)
    environment: Environment = body.target_stage
    version = await models.ensure_version(session, services.registry, caller, body.model_name, body.model_version)
    digest = await models.ensure_digest(session, services.registry, version)
    policy = load(services.settings.policy_file)
    deployment = await _deployment(session, body.model_name, environment, version.tenant)
    existing = await repository.revisions(session, deployment.id)
    for revision in existing:
        if revision.state in PENDING | {"live"} and revision.version == version.version:
            raise AlreadyDeployed(body.model_name, version.version, environment, revision.state)
        if revision.state in PENDING:
            raise AnotherRolloutRuns(revision.version, revision.state)
    if environment == "production" and not await _runs_in_staging(session, body.model_name, version.version, digest):
        raise StageSkipped(body.model_name, version.version)
    await gates.demand(
        session,
        policy,
        name=body.model_name,
        version=version.version,
        digest=digest,
        environment=environment,
        risk_level=version.risk_level,
    )
    at = now()
    revision = RevisionRow(
        id=new_id(),
        deployment_id=deployment.id,
        number=max((row.number for row in existing), default=0) + 1,
        version=version.version,
        digest=digest,
        risk_level=version.risk_level,
        plan=[step.model_dump() for step in policy.plan(environment, version.risk_level)],
        config={"replicas": body.replicas, "resources": body.resources, "environment_vars": body.environment_vars},
        approval_id=None,
        requested_by=caller.subject,
        justification=body.justification,
        state="approved",
        reason="",
        build="pending",
        bundle=None,
        engine=None,
        feature_refs=models.feature_refs(version.tags),
        traffic=0.0,
        step=0,
        step_began_at=None,
        created_at=at,
        updated_at=at,
    )
    approval = await approvals.request(
        session,
        policy,
        requester=caller,
        transition=environment,
        model_name=body.model_name,
        model_version=version.version,
        digest=digest,
        subject_id=revision.id,
        tenant=version.tenant,
        risk_level=version.risk_level,
        justification=body.justification,
    )
    if approval:
        revision.state, revision.approval_id = "awaiting_approval", approval.id
    session.add(revision)
    deployment.desired_version, deployment.updated_at = version.version, at
    deployment.generation += 1
    await session.flush()
    await audit.record(
        session,
        action=Action.DEPLOYMENT_REQUESTED,
        actor=caller,
        resource=f"deployment:{deployment.id}",
        tenant=deployment.tenant,
        details={
            "model": body.model_name,
            "version": version.version,
            "environment": environment,
            "revision": revision.number,
            "digest": digest,
            "approval": revision.approval_id,
            "policy": policy.version,
            "replicas": body.replicas,
        },
    )
    if approval is None:
        message = f"Version {version.version} needs no approval for {environment}; it is being built and rolled out."
        return DeployResponse(
            status="success",
            deployment_id=deployment.id,
            revision_id=revision.id,
            revision=revision.number,
            message=message,
        )
    waiting = ", ".join(f"{needed.count} x {needed.role}" for needed in approval.requirements)
    return DeployResponse(
        status="pending_approval",
        deployment_id=deployment.id,
        revision_id=revision.id,
        revision=revision.number,
        approval_id=approval.id,
        message=f"Held until these have approved: {waiting}. It continues by itself after the last.",
    )


async def _deployment(session: Session, model_name: str, environment: str, tenant: str) -> DeploymentRow:
    at = now()
    fresh = insert(DeploymentRow).values(
        id=new_id(),
        model_name=model_name,
        environment=environment,
        tenant=tenant,
        desired_version=None,
        desired_paused=False,
        generation=0,
        observed_generation=0,
        observed_message="",
        created_at=at,
        updated_at=at,
    )
    await session.execute(fresh.on_conflict_do_nothing())
    query = select(DeploymentRow).where(
        DeploymentRow.model_name == model_name, DeploymentRow.environment == environment
    )
    return (await session.execute(query.with_for_update())).scalar_one()


async def _runs_in_staging(session: Session, model_name: str, version: int, digest: str) -> bool:
    query = (
        select(RevisionRow.id)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(
            DeploymentRow.model_name == model_name,
            DeploymentRow.environment == "staging",
            RevisionRow.version == version,
        )
        .where(RevisionRow.digest == digest, RevisionRow.state.in_(("live", "standby")))
    )
    return (await session.execute(query)).first() is not None


async def move(
    session: Session, deployment: DeploymentRow, revision: RevisionRow, state: State, reason: str, actor: Actor
) -> None:
    """Take a revision to another state, with its audit event. Raises ForbiddenTransition."""
    check(revision.state, state, revision.build)  # type: ignore[arg-type]  # the columns hold these literals
    before, revision.state, revision.reason, revision.updated_at = revision.state, state, reason, now()
    if state not in ANSWERING:
        revision.traffic = 0.0
    deployment.updated_at = revision.updated_at
    await session.flush()
    await audit.record(
        session,
        action=Action.DEPLOYMENT_STATE_CHANGED,
        actor=actor,
        resource=f"deployment:{deployment.id}",
        tenant=deployment.tenant,
        details={
            "revision": revision.number,
            "version": revision.version,
            "from": before,
            "to": state,
            "reason": reason,
        },
    )
    metrics.deployment_state_changes_total.labels(deployment.environment, state).inc()
    if state == "rolled_back":
        by = "gate" if isinstance(actor, SystemActor) else "person"
        metrics.deployment_rollbacks_total.labels(deployment.environment, by).inc()


async def approval_settled(session: Session, approval: Approval) -> None:
    """Let a held revision go on, or end it, in the transaction that settled its approval."""
    revision = await session.get(RevisionRow, approval.subject_id, with_for_update=True)
    if revision is None or revision.state != "awaiting_approval":
        return
    deployment = await repository.locked(session, None, revision.deployment_id)
    assert deployment is not None
    state: dict[str, State] = {
        "approved": "approved",
        "rejected": "rejected",
        "expired": "expired",
        "withdrawn": "failed",
    }
    await move(session, deployment, revision, state[approval.status], approval.reason, SystemActor("approvals"))
    deployment.generation += 1


approvals.on_settled.append(approval_settled)


async def is_deployed(session: ReadSession | Session, model_name: str, version: int | None) -> bool:
    """Return whether a version (any version when None) answers or is on its way somewhere."""
    query = (
        select(RevisionRow.id)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(DeploymentRow.model_name == model_name, RevisionRow.state.not_in(ENDED))
    )
    return (
        await session.execute(query if version is None else query.where(RevisionRow.version == version))
    ).first() is not None


async def list_deployments(
    session: ReadSession,
    caller: Principal,
    *,
    model_name: str | None = None,
    environment: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DeploymentSummary]:
    """Return deployments the caller may see, newest first."""
    query = repository.visible_to(caller)
    if model_name:
        query = query.where(DeploymentRow.model_name == model_name)
    if environment:
        query = query.where(DeploymentRow.environment == environment)
    if cursor:
        query = query.where(DeploymentRow.id < str(decode_cursor(cursor).get("id", "")))
    rows = list((await session.execute(query.order_by(DeploymentRow.id.desc()).limit(limit + 1))).scalars())
    revisions = await repository.revisions_of(session, [row.id for row in rows])
    items = [_summary(row, revisions.get(row.id, [])) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor({"id": items[-1].id}) if len(rows) > limit else None)


async def get(session: ReadSession | Session, caller: Principal, deployment_id: str) -> DeploymentDetail:
    """Return a deployment with its revisions and history. Raises DeploymentNotFound."""
    row = (
        await session.execute(repository.visible_to(caller).where(DeploymentRow.id == deployment_id))
    ).scalar_one_or_none()
    if row is None:
        raise DeploymentNotFound(deployment_id)
    revisions = await repository.revisions(session, deployment_id)
    history = await audit.events(ReadSession(session), resource=f"deployment:{deployment_id}", limit=100)
    return DeploymentDetail(
        **_summary(row, revisions).model_dump(),
        revisions=[RevisionView.model_validate(revision) for revision in revisions],
        history=history.items,
    )


async def answers(
    session: ReadSession | Session, model_name: str, version: int, digest: str, environment: str, number: int
) -> bool:
    """Return whether this revision of the environment serves exactly these bytes now."""
    query = (
        select(RevisionRow.id)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(DeploymentRow.model_name == model_name, DeploymentRow.environment == environment)
        .where(RevisionRow.version == version, RevisionRow.digest == digest, RevisionRow.number == number)
        .where(RevisionRow.state.in_(ANSWERING))
    )
    return (await session.execute(query)).first() is not None


async def routing_generation(session: ReadSession) -> int:
    """Return the number that changes with every change of what answers."""
    return await repository.routing_generation(session)


async def live_routes(session: ReadSession, address_of: Callable[[Placement], str | None]) -> RoutingSnapshot:
    """Return everything that answers, and the generation it was true at.

    `address_of` gives the address of a revision's model process (the runtime knows it), or None.
    """
    generation = await repository.routing_generation(session)
    query = (
        select(RevisionRow, DeploymentRow)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(RevisionRow.state.in_(ANSWERING), RevisionRow.bundle.is_not(None))
    )
    live = [
        LiveRevision(
            model_name=deployment.model_name,
            tenant=deployment.tenant,
            environment=deployment.environment,
            version=revision.version,
            revision_id=revision.id,
            revision_number=revision.number,
            traffic=revision.traffic,
            bundle_path=revision.bundle or "",
            engine=revision.engine or "process",
            address=address_of(
                Placement(revision.id, deployment.model_name, deployment.tenant, deployment.environment)
            ),
            feature_refs=tuple(revision.feature_refs),
            risk_level=revision.risk_level,
        )
        for revision, deployment in (await session.execute(query)).all()
    ]
    return RoutingSnapshot(generation, tuple(live))


def _summary(row: DeploymentRow, revisions: list[RevisionRow]) -> DeploymentSummary:
    current = next((revision for revision in revisions if revision.state not in ENDED), None)
    main = max(
        (revision for revision in revisions if revision.state in ANSWERING),
        key=lambda revision: revision.traffic,
        default=None,
    )
    return DeploymentSummary.model_validate(
        {
            "id": row.id,
            "model_name": row.model_name,
            "environment": row.environment,
            "tenant": row.tenant,
            "state": current.state if current else revisions[0].state if revisions else "empty",
            "version": main.version if main else None,
            "traffic": main.traffic if main else 0.0,
            "paused": row.desired_paused,
            "message": (current or revisions[0]).reason or row.observed_message if revisions else "",
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
    )


async def owners_of_revisions(session: ReadSession | Session) -> dict[str, tuple[str, str]]:
    """Return revision id -> (tenant, model) of every revision there ever was: whose a process is, and who pays for it."""
    query = select(RevisionRow.id, DeploymentRow.tenant, DeploymentRow.model_name).join(
        DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id
    )
    return {revision: (tenant, model) for revision, tenant, model in await session.execute(query)}
