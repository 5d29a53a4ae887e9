"""Making what runs equal to what is wanted: level-triggered, idempotent, one deployment at a time.

Each pass reads the rows, asks the runtime outside any transaction, and writes what it saw in one short transaction. A
pass that dies anywhere is repeated by the next one.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
from sqlalchemy import or_, select

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.builds.interfaces import BundleDamaged, SignatureNotValid
from mlops_platform.checks import gates
from mlops_platform.database.locks import try_lock
from mlops_platform.database.session import Session
from mlops_platform.dependencies import Services
from mlops_platform.deployments import repository, service
from mlops_platform.deployments.interfaces import Observed, RuntimeConflict
from mlops_platform.deployments.operations import make_live
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.kit.clock import now
from mlops_platform.models import service as models
from mlops_platform.models.stages import Stage
from mlops_platform.policy.definition import Environment, RiskLevel, Step
from mlops_platform.policy.loading import load
from mlops_platform.rollouts.rollout import Advance, Hold, Next, Promote, RollBack, Signal, next_step
from mlops_platform.rollouts.sweep import routing_of, spec_of, sweep, tell

ACTOR = SystemActor("worker")
_Act = Callable[[Session, DeploymentRow, RevisionRow], Awaitable[None]]
_IN_MOTION = ("approved", "starting", "rolling_out")


async def reconcile(services: Services) -> None:
    """Bring every deployment that is in motion one step further, and let the runtime run exactly what should run."""
    async with services.database.read_session() as session:
        moving = select(RevisionRow.deployment_id).where(RevisionRow.state.in_(_IN_MOTION))
        query = select(DeploymentRow.id).where(
            or_(DeploymentRow.generation > DeploymentRow.observed_generation, DeploymentRow.id.in_(moving))
        )
        waiting = list((await session.execute(query)).scalars())
    for deployment_id in waiting:
        async with try_lock(services.database, f"deployment:{deployment_id}") as held:
            if held:
                try:
                    await _one_pass(services, deployment_id)
                except RuntimeConflict as conflict:
                    # one deployment that somebody changed by hand holds up no other
                    await tell(services, deployment_id, conflict.detail)
    await sweep(services)


async def _one_pass(services: Services, deployment_id: str) -> None:
    async with services.database.read_session() as session:
        deployment = await session.get(DeploymentRow, deployment_id)
        assert deployment is not None
        generation = deployment.generation
        revisions = await repository.revisions(session, deployment_id)
    # oldest first, so that what replaces is handled after what is replaced
    for revision in reversed(revisions):
        if revision.state == "approved" and revision.build == "built":
            await _begin(services, deployment, revision)
        elif revision.state == "starting":
            await services.runtime.apply(spec_of(deployment, revision))
            observed = await services.runtime.observe(revision.id)
            await _started(services, revision.id, observed)
        elif revision.state == "rolling_out":
            await _roll(services, deployment, revision)
    await services.runtime.route(await routing_of(services, deployment))
    async with services.database.session() as session:
        locked = await repository.locked(session, None, deployment_id)
        if locked is not None:
            await _retire_old(session, locked)
            locked.observed_generation = max(locked.observed_generation, generation)


async def _begin(services: Services, deployment: DeploymentRow, revision: RevisionRow) -> None:
    """Start a revision when its files are still those that were signed and no gate has failed since it was asked for."""
    policy = load(services.settings.policy_file)
    try:
        # what was published is what is verified, not what the build left on some disk
        bundle = await anyio.to_thread.run_sync(services.bundles.fetch, revision.bundle or "")
        await services.signer.verify(bundle)
    except (SignatureNotValid, BundleDamaged) as wrong:
        await _settle(services, revision.id, "approved", _failing(str(wrong)))
        return
    async with services.database.read_session() as session:
        standing = await gates.standing(
            session,
            policy,
            name=deployment.model_name,
            version=revision.version,
            digest=revision.digest,
            environment=_environment(deployment),
            risk_level=_risk_level(revision),
        )
    # a result that ran out while people decided was good when they did; one that failed since is news
    if failed := [one for one in standing.open if one.state == "failed"]:
        await _settle(services, revision.id, "approved", _failing(f"gate {failed[0].gate}: {failed[0].sentence}"))
        return
    await services.runtime.apply(spec_of(deployment, revision))
    await _settle(services, revision.id, "approved", _start)


def _failing(sentence: str) -> _Act:
    async def fail(session: Session, deployment: DeploymentRow, revision: RevisionRow) -> None:
        await service.move(session, deployment, revision, "failed", sentence, ACTOR)

    return fail


def _environment(deployment: DeploymentRow) -> Environment:
    return "staging" if deployment.environment == "staging" else "production"


def _risk_level(revision: RevisionRow) -> RiskLevel:
    return revision.risk_level  # type: ignore[return-value]  # the column holds these literals


async def _start(session: Session, deployment: DeploymentRow, revision: RevisionRow) -> None:
    await service.move(session, deployment, revision, "starting", "its model process is coming up", ACTOR)


async def _started(services: Services, revision_id: str, observed: Observed) -> None:
    async def proceed(session: Session, deployment: DeploymentRow, revision: RevisionRow) -> None:
        if observed.failed:
            await service.move(session, deployment, revision, "failed", observed.message, ACTOR)
            await repository.bump_routing(session)
        elif observed.ready:
            await service.move(session, deployment, revision, "rolling_out", "", ACTOR)
            await _take_step(session, deployment, revision, 0)
        else:
            deployment.observed_message = observed.message

    await _settle(services, revision_id, "starting", proceed)


async def _roll(services: Services, deployment: DeploymentRow, revision: RevisionRow) -> None:
    policy = load(services.settings.policy_file)
    began = revision.step_began_at or now()
    plan = [Step.model_validate(step) for step in revision.plan]
    signal = await _signal(services, revision.id, began, plan)
    following = next_step(
        plan, revision.step, (now() - began).total_seconds(), signal, policy.gate, paused=deployment.desired_paused
    )

    async def proceed(session: Session, locked: DeploymentRow, row: RevisionRow) -> None:
        # somebody may have paused since; then the next pass decides again
        if row.step != revision.step or locked.desired_paused != deployment.desired_paused:
            return
        await _act(session, locked, row, following)

    await _settle(services, revision.id, "rolling_out", proceed)


async def _signal(services: Services, revision_id: str, began: datetime, plan: list[Step]) -> Signal:
    # a plan that gives everything at once has nothing to watch; reading metrics would only make it wait for them
    if len(plan) == 1 and plan[0].hold_seconds == 0:
        return Signal(0, 0, None)
    return await services.signals.since(revision_id, began)


async def _act(session: Session, deployment: DeploymentRow, revision: RevisionRow, following: Next) -> None:
    match following:
        case Hold(because):
            deployment.observed_message = because
            return
        case Advance(step):
            await _take_step(session, deployment, revision, step)
        case Promote():
            revisions = await repository.revisions(session, deployment.id)
            await make_live(session, deployment, revisions, revision, ACTOR)
            deployment.observed_message = ""
            stage: Stage = _environment(deployment)
            await models.set_stage(session, deployment.model_name, revision.version, stage, ACTOR, deployment.tenant)
        case RollBack(because):
            await service.move(session, deployment, revision, "rolled_back", because, ACTOR)
            for other in await repository.revisions(session, deployment.id):
                if other.state == "live":
                    other.traffic, deployment.desired_version = 1.0, other.version
    await repository.bump_routing(session)


async def _take_step(session: Session, deployment: DeploymentRow, revision: RevisionRow, step: int) -> None:
    """Give the revision its step's share; what answered before keeps the rest."""
    share = float(revision.plan[step]["traffic"])
    live = next((other for other in await repository.revisions(session, deployment.id) if other.state == "live"), None)
    revision.step, revision.step_began_at = step, now()
    # with nothing else to answer, a first revision takes everything from the start
    revision.traffic = share if live else 1.0
    if live:
        live.traffic = 1.0 - share
    await session.flush()
    await audit.record(
        session,
        action=Action.DEPLOYMENT_ROLLOUT_STEPPED,
        actor=ACTOR,
        resource=f"deployment:{deployment.id}",
        tenant=deployment.tenant,
        details={"revision": revision.number, "step": step, "traffic": revision.traffic},
    )
    await repository.bump_routing(session)


async def _retire_old(session: Session, deployment: DeploymentRow) -> None:
    standby = [
        revision for revision in await repository.revisions(session, deployment.id) if revision.state == "standby"
    ]
    for revision in standby[service.KEPT_STANDBY :]:
        await service.move(
            session, deployment, revision, "retired", "two newer revisions are kept for a rollback", ACTOR
        )
        await repository.bump_routing(session)


async def _settle(services: Services, revision_id: str, expected: str, act: _Act) -> None:
    """Run `act` on the locked rows if the revision is still in the expected state."""
    async with services.database.session() as session:
        revision = await session.get(RevisionRow, revision_id)
        assert revision is not None
        deployment = await repository.locked(session, None, revision.deployment_id)
        assert deployment is not None
        await session.refresh(revision)
        if revision.state == expected:
            await act(session, deployment, revision)
