"""Building what revisions wait for, and keeping what the builds found as evidence; never in the API process."""

import time
from typing import Literal

import anyio
import structlog

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.builds.bundles import Built, lock_name, obtain
from mlops_platform.checks import gates
from mlops_platform.checks import policy as gate_policy
from mlops_platform.checks import service as checks
from mlops_platform.checks.policy import Outcome
from mlops_platform.checks.scoring import Finding, lineage, performance
from mlops_platform.database.locks import try_lock
from mlops_platform.database.session import Session
from mlops_platform.dependencies import Services
from mlops_platform.deployments import brought_code, revisions, worklist
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.deployments.worklist import BuildOrder
from mlops_platform.failing.attempts import Attempt, Attempts, Item, attempts
from mlops_platform.models import service as models
from mlops_platform.policy.definition import GateName
from mlops_platform.policy.loading import load
from mlops_platform.telemetry import metrics, spans

log = structlog.get_logger(__name__)
ACTOR = SystemActor("worker")


async def build_pending(services: Services) -> None:
    """Build every revision that waits for it, approved ones first; bytes that another worker is building are left to it.

    A revision whose build breaks off holds up no other: it says why and is tried again, later each time, until it has failed.
    """
    async with services.database.read_session() as session:
        waiting = await worklist.to_build(session)
    tries = await attempts(services.database, "deployment-builds", [order.revision_id for order in waiting])
    for order in waiting:
        if not tries.due(order.revision_id):
            continue
        async with try_lock(services.database, lock_name(order.digest)) as held:
            if held:
                await _isolated(services, tries, order)


async def _isolated(services: Services, tries: Attempts, order: BuildOrder) -> None:
    item = Item(order.revision_id, f"build of {order.model_name} version {order.version}", order.tenant, ends=True)
    # a registry that does not give this version says nothing of the others
    async with tries.attempt(item, through=None) as attempt:
        with spans.working("build") as span:
            span.told(mlops_model=order.model_name, mlops_version=order.version)
            await _counted(services, order.revision_id)
    if attempt.error is not None:
        await _note(services, order, attempt)


async def _note(services: Services, order: BuildOrder, attempt: Attempt) -> None:
    sentence = f"Building version {order.version} broke off: {attempt.sentence}"
    async with services.database.session() as session:
        revision, deployment = await revisions.locked(session, order.revision_id)
        await revisions.note(session, deployment.id, sentence)
        revisions.explain(revision, sentence)
        if attempt.gave_up:
            await revisions.end(session, deployment, revision, sentence, ACTOR)


async def _counted(services: Services, revision_id: str) -> None:
    began = time.perf_counter()
    try:
        result = await _build(services, revision_id)
    except Exception:
        metrics.build_runs_total.labels("error").inc()
        raise
    if result is not None:
        metrics.build_runs_total.labels(result).inc()
        metrics.build_duration_seconds.observe(time.perf_counter() - began)


async def _build(services: Services, revision_id: str) -> Literal["built", "refused"] | None:
    """Build one revision; None when it was built meanwhile."""
    async with services.database.read_session() as session:
        revision, deployment = await worklist.revision(session, revision_id)
    if revision.build != "pending":
        return None
    built = await obtain(services, deployment.model_name, revision.version, revision.digest, revision.feature_refs)
    if built.bundle is None:
        await _refuse(services, revision_id, built)
        return "refused"
    address = await anyio.to_thread.run_sync(services.bundles.publish, built.bundle)
    await _accept(services, revision_id, built, address)
    return "built"


async def _accept(services: Services, revision_id: str, built: Built, address: str) -> None:
    description = built.description()
    policy = load(services.settings.policy_file)
    async with services.database.session() as session:
        revision, deployment = await revisions.locked(session, revision_id)
        if revision.build != "pending":
            return
        name, number = deployment.model_name, revision.version
        # the word on what a model brings is the build's: what the catalogue knew at the request was read from one file
        # and the risk may have risen since
        asked = (deployment.environment, revision.digest, revision.risk_level)
        if why := await brought_code.refusal_now(session, policy, description.get("code"), *asked):
            revisions.record_refusal(revision)
            await keep_evidence(session, services, name, number, revision.digest, built, again=False)
            await revisions.end(session, deployment, revision, why, ACTOR)
            return
        await models.set_input_schema(session, name, number, description["inputs"])
        await keep_evidence(session, services, name, number, revision.digest, built, again=False)
        await revisions.record_build(
            session,
            deployment,
            revision,
            bundle=address,
            engine=description["engine"],
            feature_refs=list(description.get("feature_refs", [])),
            details={
                "digest": revision.digest,
                "code": description.get("code", "none"),
                "onnx": (description.get("onnx") or {}).get("sha256"),
                "signed_with": built.key,
            },
            actor=ACTOR,
        )
        # where people approve, they see a failed check and weigh it; where nobody does, it stops the version
        if revision.approval_id is None and await _a_check_failed(session, deployment, revision):
            sentence = "an automatic check failed; see the version's checks"
            await revisions.end(session, deployment, revision, sentence, ACTOR)
            return
        await models.set_stage(session, name, number, "validation", ACTOR, deployment.tenant, only_from="development")


async def _refuse(services: Services, revision_id: str, built: Built) -> None:
    async with services.database.session() as session:
        revision, deployment = await revisions.locked(session, revision_id)
        await keep_evidence(session, services, deployment.model_name, revision.version, revision.digest, built)
        await revisions.refuse(session, deployment, revision, built.sentence, ACTOR)


async def keep_evidence(
    session: Session, services: Services, name: str, number: int, digest: str, built: Built, *, again: bool = True
) -> None:
    """Keep each step of a build, what the registry's records say, and what both amount to for the build's gates.

    A bundle that was only looked up has been judged before: with `again=False` gates that have a result keep it.
    """
    for step in built.report["steps"]:
        detail = step.get("detail")
        sentence = detail if isinstance(detail, str) else str(step["name"])
        rest = {key: value for key, value in step.items() if key != "name"}
        await checks.record(session, name, number, step["name"], step["status"], sentence, rest)
    view = await models.get_version(session, None, name, number)
    baseline = await models.earlier_metrics(session, name, number)
    for finding in (performance(view.metrics, baseline), lineage(view.lineage, view.owner)):
        await _keep(session, name, number, finding)
    known = await gates.newest(session, name, number, digest)
    run = view.lineage.get("run_id")
    outcomes: dict[GateName, Outcome] = {
        "validate": gate_policy.validation(built.report, owner=view.owner, risk_warning=view.risk_warning, run_id=run),
        "scan": gate_policy.scan(built.report, built.key),
    }
    for gate, outcome in outcomes.items():
        if again or gate not in known:
            await gates.record(
                session,
                load(services.settings.policy_file),
                ACTOR,
                name=name,
                version=number,
                digest=digest,
                tenant=view.tenant,
                gate=gate,
                outcome=outcome,
                source="platform",
            )


async def _keep(session: Session, name: str, number: int, finding: Finding) -> None:
    await checks.record(session, name, number, finding.check, finding.status, finding.sentence, finding.detail)


async def _a_check_failed(session: Session, deployment: Deployment, revision: Revision) -> bool:
    found = await checks.for_version(session, deployment.model_name, revision.version)
    return any(result.status == "failed" for result in found)
