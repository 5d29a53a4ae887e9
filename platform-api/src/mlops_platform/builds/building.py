"""Building what revisions wait for, and keeping what the builds found as evidence; never in the API process."""

import time
from typing import Literal

import anyio
import structlog
from sqlalchemy import select

from mlops_platform.approvals import service as approvals
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
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
from mlops_platform.deployments import repository, service
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.models import service as models
from mlops_platform.policy.definition import GateName
from mlops_platform.policy.loading import load
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)
ACTOR = SystemActor("worker")


async def build_pending(services: Services) -> None:
    """Build every revision that waits for it; one that another worker is building is left to it."""
    async with services.database.read_session() as session:
        query = (
            select(RevisionRow.id, DeploymentRow.model_name, RevisionRow.version)
            .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
            .where(RevisionRow.build == "pending", RevisionRow.state.in_(("awaiting_approval", "approved")))
        )
        waiting = (await session.execute(query.order_by(RevisionRow.created_at))).all()
    for revision_id, name, version in waiting:
        async with try_lock(services.database, lock_name(name, version)) as held:
            if held:
                await _counted(services, revision_id)


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
        revision = await session.get(RevisionRow, revision_id)
        assert revision is not None
        deployment = await session.get(DeploymentRow, revision.deployment_id)
        assert deployment is not None
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
    async with services.database.session() as session:
        revision, deployment = await _locked(session, revision_id)
        if revision.build != "pending":
            return
        revision.build, revision.bundle, revision.engine = "built", address, description["engine"]
        if not revision.feature_refs:
            revision.feature_refs = list(description.get("feature_refs", []))
        deployment.generation += 1
        name, number = deployment.model_name, revision.version
        await models.set_input_schema(session, name, number, description["inputs"])
        await keep_evidence(session, services, name, number, revision.digest, built, again=False)
        # where people approve, they see a failed check and weigh it; where nobody does, it stops the version
        if revision.approval_id is None and await _a_check_failed(session, deployment, revision):
            await _fail(session, deployment, revision, "an automatic check failed; see the version's checks")
            return
        await models.set_stage(session, name, number, "validation", ACTOR, deployment.tenant, only_from="development")
        await audit.record(
            session,
            action=Action.DEPLOYMENT_BUILT,
            actor=ACTOR,
            resource=f"deployment:{deployment.id}",
            tenant=deployment.tenant,
            details={
                "revision": revision.number,
                "digest": revision.digest,
                "engine": revision.engine,
                "onnx": (description.get("onnx") or {}).get("sha256"),
                "signed_with": built.key,
            },
        )


async def _refuse(services: Services, revision_id: str, built: Built) -> None:
    async with services.database.session() as session:
        revision, deployment = await _locked(session, revision_id)
        revision.build = "refused"
        await keep_evidence(session, services, deployment.model_name, revision.version, revision.digest, built)
        await _fail(session, deployment, revision, built.sentence)


async def _fail(session: Session, deployment: DeploymentRow, revision: RevisionRow, sentence: str) -> None:
    if revision.state in {"awaiting_approval", "approved"}:
        await service.move(session, deployment, revision, "failed", sentence, ACTOR)
        await approvals.withdraw(session, revision.id, sentence)
    deployment.generation += 1


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


async def _a_check_failed(session: Session, deployment: DeploymentRow, revision: RevisionRow) -> bool:
    found = await checks.for_version(session, deployment.model_name, revision.version)
    return any(result.status == "failed" for result in found)


async def _locked(session: Session, revision_id: str) -> tuple[RevisionRow, DeploymentRow]:
    revision = await session.get(RevisionRow, revision_id)
    assert revision is not None
    deployment = await repository.locked(session, None, revision.deployment_id)
    assert deployment is not None
    await session.refresh(revision)
    return revision, deployment
