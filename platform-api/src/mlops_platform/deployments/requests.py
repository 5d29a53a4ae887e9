"""Requests for deployments: what is wanted, the approval it needs and the audit event, in one transaction."""

from functools import partial

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.approvals import service as approvals
from mlops_platform.approvals.schemas import Approval
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.checks import gates
from mlops_platform.database.session import Session
from mlops_platform.dependencies import Services
from mlops_platform.deployments import brought_code, repository
from mlops_platform.deployments.configuration import configuration_hash, recorded_configuration
from mlops_platform.deployments.schemas import DeployRequest, DeployResponse
from mlops_platform.deployments.state import IN_MOTION, PENDING
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.errors import Conflict, Invalid
from mlops_platform.identity.delegation import acting_for, asking
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.models import resolving
from mlops_platform.models import service as models
from mlops_platform.models.schemas import VersionView
from mlops_platform.policy.definition import Environment, Policy, RiskLevel
from mlops_platform.policy.loading import load
from mlops_platform.risk import service as risk
from mlops_platform.statements import service as statements


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


async def deploy(session: Session, services: Services, caller: Principal, body: DeployRequest) -> DeployResponse:
    """Record what is wanted, ask for the approval it needs and write the audit event, in one transaction.

    Who asks is the caller, or the person a service acts for. Raises NotADeploymentTarget, NotPermitted,
    OnlyServicesActForOthers, StarterContradicted, ModelVersionNotFound, AlreadyDeployed, AnotherRolloutRuns, StageSkipped,
    CodeNotPermitted, GatesNotPassed and RegistryUnavailable. Building starts at once, while people decide; the worker does the rest.
    A request that waits for approval blocks no other: whichever is approved rolls out, one after the other.
    """
    if body.target_stage not in ("staging", "production"):
        raise NotADeploymentTarget(body.target_stage)
    environment: Environment = body.target_stage
    caller = acting_for(caller, body.on_behalf_of)
    version, digest = await resolving.resolve(
        services.database,
        services.registry,
        services.holders,
        caller,
        body.model_name,
        body.model_version,
        permitted=partial(demand, services.authorizer, caller, "deployment:create"),
    )
    caller = asking(caller)
    policy = load(services.settings.policy_file)
    deployment = await _deployment(session, body.model_name, environment, version.tenant)
    number = await _next_number(session, deployment, version)
    if environment == "production" and not await _runs_in_staging(session, body.model_name, version.version, digest):
        raise StageSkipped(body.model_name, version.version)
    level = await risk.level_of(session, digest)
    await brought_code.demand(session, policy, body.model_name, version.version, environment, level)
    await gates.demand(
        session,
        policy,
        name=body.model_name,
        version=version.version,
        digest=digest,
        environment=environment,
        risk_level=level,
        requester=caller.subject,
    )
    revision = _revision(deployment.id, number, version, digest, level, policy, environment, caller, body)
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
        risk_level=level,
        configuration=configuration_hash(revision.config),
        justification=body.justification,
    )
    if approval:
        revision.state, revision.approval_id = "awaiting_approval", approval.id
    session.add(revision)
    deployment.updated_at = revision.created_at
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
            "revision_id": revision.id,
            "digest": digest,
            "risk_level": level,
            "approval": revision.approval_id,
            "requirements": [needed.model_dump(mode="json") for needed in approval.requirements] if approval else [],
            "policy": policy.version,
            "policy_hash": policy.content_hash,
            **recorded_configuration(revision.config),
            **caller.told_by(),
        },
    )
    return _answer(deployment.id, revision, environment, approval)


async def _next_number(session: Session, deployment: DeploymentRow, version: VersionView) -> int:
    """Return the number of the next revision. Raises AlreadyDeployed and AnotherRolloutRuns."""
    existing = await repository.revisions(session, deployment.id)
    for revision in existing:
        same = revision.state in PENDING | {"live"} and revision.version == version.version
        if same and not await _needs_another_approval(session, revision):
            raise AlreadyDeployed(version.model_name, version.version, deployment.environment, revision.state)
        if revision.state in IN_MOTION | {"approved"}:
            raise AnotherRolloutRuns(revision.version, revision.state)
    return max((row.number for row in existing), default=0) + 1


async def _needs_another_approval(session: Session, revision: RevisionRow) -> bool:
    """Return whether what is live has to be asked for again: it has no statement of approval, or is due for review."""
    if revision.state != "live":
        return False
    return revision.review_since is not None or not await statements.of_revisions(session, [revision.id])


def _revision(
    deployment_id: str,
    number: int,
    version: VersionView,
    digest: str,
    level: RiskLevel,
    policy: Policy,
    environment: Environment,
    caller: Principal,
    body: DeployRequest,
) -> RevisionRow:
    at = now()
    return RevisionRow(
        id=new_id(),
        deployment_id=deployment_id,
        number=number,
        version=version.version,
        digest=digest,
        risk_level=level,
        plan=[step.model_dump() for step in policy.plan(environment, level)],
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
        routed_generation=None,
        created_at=at,
        updated_at=at,
    )


def _answer(
    deployment_id: str, revision: RevisionRow, environment: Environment, approval: Approval | None
) -> DeployResponse:
    if approval is None:
        return DeployResponse(
            status="success",
            deployment_id=deployment_id,
            revision_id=revision.id,
            revision=revision.number,
            message=f"Version {revision.version} needs no approval for {environment}; it is being built and rolled out.",
        )
    waiting = ", ".join(f"{needed.count} x {needed.role}" for needed in approval.requirements)
    return DeployResponse(
        status="pending_approval",
        deployment_id=deployment_id,
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
