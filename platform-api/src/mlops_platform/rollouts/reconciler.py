"""Making what runs equal to what is wanted: level-triggered, idempotent, one deployment at a time.

Each pass reads the rows, asks the runtime outside any transaction, and writes what it saw in one short transaction. A
pass that dies anywhere is repeated by the next one.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import anyio
import structlog

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.builds.interfaces import BundleDamaged, SignatureNotValid
from mlops_platform.checks import gates
from mlops_platform.database.locks import try_lock
from mlops_platform.database.session import Session
from mlops_platform.dependencies import Services
from mlops_platform.deployments import brought_code, revisions, worklist
from mlops_platform.deployments.interfaces import Observed, RuntimeUnavailable
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.deployments.state import IN_MOTION
from mlops_platform.failing.attempts import Attempts, Item, attempts
from mlops_platform.kit.clock import now
from mlops_platform.policy.definition import Environment, RiskLevel, Step
from mlops_platform.policy.loading import load
from mlops_platform.predictions import standing as data_plane
from mlops_platform.predictions.standing import Standing
from mlops_platform.rollouts.rollout import (
    Advance,
    Hold,
    Next,
    Promote,
    RollBack,
    Signal,
    next_step,
    watches_nothing,
)
from mlops_platform.rollouts.subjects import subject_of
from mlops_platform.rollouts.sweep import hold_up, routing_of, spec_of, sweep
from mlops_platform.statements import service as statements
from mlops_platform.statements.agreement import NotProven
from mlops_platform.statements.composition import GateResult
from mlops_platform.statements.service import Signed
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)
ACTOR = SystemActor("worker")
_Act = Callable[[Session, Deployment, Revision], Awaitable[None]]


async def reconcile(services: Services) -> None:
    """Bring every deployment that is in motion one step further, and let the runtime run exactly what should run.

    A deployment whose pass fails holds up no other: it says why and is tried again, later each time. Raises
    RuntimeUnavailable when the runtime takes no orders at all.
    """
    async with services.database.read_session() as session:
        waiting = await worklist.to_reconcile(session)
    tries = await attempts(services.database, "deployment-reconcile", waiting)
    for deployment_id in waiting:
        if not tries.due(deployment_id):
            continue
        async with try_lock(services.database, f"deployment:{deployment_id}") as held:
            if held:
                await _isolated(services, tries, deployment_id)
    await sweep(services)


async def _isolated(services: Services, tries: Attempts, deployment_id: str) -> None:
    async with services.database.read_session() as session:
        deployment = await worklist.deployment(session, deployment_id)
    assert deployment is not None, "deployments are never deleted"
    item = Item(deployment_id, f"rollout of {deployment.model_name} in {deployment.environment}", deployment.tenant)
    # no order reaches the runtime, of this deployment or another: the job fails, and alerts
    async with tries.attempt(item, through=RuntimeUnavailable) as attempt:
        await _one_pass(services, deployment_id)
    if attempt.error is not None:
        await hold_up(services, deployment_id, attempt.sentence)


async def _one_pass(services: Services, deployment_id: str) -> None:
    async with services.database.read_session() as session:
        deployment = await worklist.deployment(session, deployment_id)
        assert deployment is not None, "deployments are never deleted"
        generation = deployment.generation
        rows = await worklist.revisions(session, deployment_id)
    # oldest first, so that what replaces is handled after what is replaced
    for revision in reversed(rows):
        if revision.state == "approved" and revision.build == "built":
            if not any(other.state in IN_MOTION for other in rows):
                await _begin(services, deployment, revision)
                break
        elif revision.state == "starting":
            await services.runtime.apply(spec_of(services, deployment, revision))
            await _started(services, revision.id, await services.runtime.observe(revision.id))
        elif revision.state == "rolling_out":
            await _roll(services, deployment, revision)
    await services.runtime.route(await routing_of(services, deployment))
    async with services.database.session() as session:
        await revisions.observed(session, deployment_id, generation, ACTOR)


async def _begin(services: Services, deployment: Deployment, revision: Revision) -> None:
    """Start a revision when its files are still those that were signed, the policy still allows what code they bring at the risk
    level of today, and no gate has failed since it was asked for.
    """
    policy = load(services.settings.policy_file)
    try:
        # what was published is what is verified, not what the build left on some disk
        bundle = await anyio.to_thread.run_sync(services.bundles.fetch, revision.bundle or "")
        await services.signer.verify(bundle)
    except (SignatureNotValid, BundleDamaged) as wrong:
        await _settle(services, revision.id, "approved", _failing(str(wrong)))
        return
    code = await anyio.to_thread.run_sync(_code_in, bundle)
    async with services.database.read_session() as session:
        asked = (deployment.environment, revision.digest, revision.risk_level)
        refused = await brought_code.refusal_now(session, policy, code, *asked)
        standing = await gates.standing(
            session,
            policy,
            name=deployment.model_name,
            version=revision.version,
            digest=revision.digest,
            environment=_environment(deployment),
            risk_level=_risk_level(revision),
        )
    if refused:
        await _settle(services, revision.id, "approved", _failing(refused))
        return
    # a result that ran out while people decided was good when they did; one that failed since is news
    if failed := [one for one in standing.open if one.state == "failed"]:
        await _settle(services, revision.id, "approved", _failing(f"gate {failed[0].gate}: {failed[0].sentence}"))
        return
    gates_found = [GateResult(one.gate, one.status, one.sentence) for one in standing.newest]
    try:
        signed = await statements.sign(
            services, subject_of(deployment, revision), bundle, revision.bundle or "", gates_found
        )
    except NotProven as missing:
        # a state in a table is no agreement: somebody changed it, or the log
        metrics.agreements_not_proven_total.inc()
        log.error("not started: the audit log does not prove the approval", revision=revision.id, reason=str(missing))  # noqa: TRY400 - the reason is the message
        await _settle(
            services, revision.id, "approved", _failing(f"the audit log does not prove the approval: {missing}")
        )
        return
    await services.runtime.apply(spec_of(services, deployment, revision))
    await _settle(services, revision.id, "approved", _starting(signed))


def _failing(sentence: str) -> _Act:
    async def fail(session: Session, deployment: Deployment, revision: Revision) -> None:
        await revisions.move(session, deployment, revision, "failed", sentence, ACTOR)

    return fail


def _code_in(bundle: Path) -> object:
    """Return what a verified bundle says of code of the model's own: a table has no say here."""
    return json.loads((bundle / "bundle.json").read_bytes()).get("code")


def _environment(deployment: Deployment) -> Environment:
    return "staging" if deployment.environment == "staging" else "production"


def _risk_level(revision: Revision) -> RiskLevel:
    return revision.risk_level  # type: ignore[return-value]  # the column holds these literals


def _starting(signed: Signed) -> _Act:
    async def start(session: Session, deployment: Deployment, revision: Revision) -> None:
        await revisions.move(session, deployment, revision, "starting", "its model process is coming up", ACTOR)
        await statements.keep(session, signed)

    return start


async def _started(services: Services, revision_id: str, observed: Observed) -> None:
    async def proceed(session: Session, deployment: Deployment, revision: Revision) -> None:
        if observed.failed:
            await revisions.fail_start(session, deployment, revision, observed.message, ACTOR)
        elif observed.ready:
            await revisions.move(session, deployment, revision, "rolling_out", "", ACTOR)
            await revisions.take_step(session, deployment, revision, 0, ACTOR)
        else:
            await revisions.note(session, deployment.id, observed.message)

    await _settle(services, revision_id, "starting", proceed)


async def _roll(services: Services, deployment: Deployment, revision: Revision) -> None:
    async with services.database.read_session() as session:
        standing = await data_plane.of(session, revision.id, revision.routed_generation or 0)
    if not standing.answers:
        await _settle(services, revision.id, "rolling_out", _waiting(standing))
        return
    policy = load(services.settings.policy_file)
    began = revision.step_began_at or now()
    plan = [Step.model_validate(step) for step in revision.plan]
    signal = await _signal(services, revision.id, began, plan)
    following = next_step(
        plan, revision.step, (now() - began).total_seconds(), signal, policy.gate, paused=deployment.desired_paused
    )

    async def proceed(session: Session, locked: Deployment, row: Revision) -> None:
        # somebody may have paused since; then the next pass decides again
        if row.step != revision.step or locked.desired_paused != deployment.desired_paused:
            return
        await _act(session, locked, row, following)

    await _settle(services, revision.id, "rolling_out", proceed)


def _waiting(standing: Standing) -> _Act:
    """`live` means answering: nothing goes on before every process that predicts has loaded the revision."""

    async def wait(session: Session, deployment: Deployment, revision: Revision) -> None:
        if standing.problem is not None:
            await revisions.give_back(session, deployment, revision, f"it cannot be loaded: {standing.problem}", ACTOR)
        elif standing.processes == 0:
            await revisions.note(session, deployment.id, "no process of the API answers predictions")
        else:
            loading = f"{standing.behind} of {standing.processes} processes of the API still load it"
            await revisions.note(session, deployment.id, loading)

    return wait


async def _signal(services: Services, revision_id: str, began: datetime, plan: list[Step]) -> Signal:
    # a plan that gives everything at once has nothing to watch; reading metrics would only make it wait for them
    if watches_nothing(plan):
        return Signal(0, 0, None)
    return await services.signals.since(revision_id, began)


async def _act(session: Session, deployment: Deployment, revision: Revision, following: Next) -> None:
    match following:
        case Hold(because):
            await revisions.note(session, deployment.id, because)
        case Advance(step):
            await revisions.take_step(session, deployment, revision, step, ACTOR)
        case Promote():
            every = await worklist.revisions(session, deployment.id)
            await revisions.make_live(session, deployment, every, revision, ACTOR)
        case RollBack(because):
            await revisions.give_back(session, deployment, revision, because, ACTOR)


async def _settle(services: Services, revision_id: str, expected: str, act: _Act) -> None:
    """Run `act` on the locked rows if the revision is still in the expected state."""
    async with services.database.session() as session:
        revision, deployment = await revisions.locked(session, revision_id)
        if revision.state == expected:
            await act(session, deployment, revision)
