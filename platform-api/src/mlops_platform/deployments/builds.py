"""From version to bundle, in a process of its own: never in the API, and safe to kill at any point."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import structlog
from sqlalchemy import select

from mlops_platform.approvals import service as approvals
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import service as checks
from mlops_platform.checks.scoring import Finding, lineage, performance
from mlops_platform.database.locks import try_lock
from mlops_platform.database.session import Session
from mlops_platform.dependencies import Services
from mlops_platform.deployments import repository, service
from mlops_platform.deployments.interfaces import TRAINING_SAMPLE
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.kit.digests import tree_digest
from mlops_platform.models import service as models

log = structlog.get_logger(__name__)
ACTOR = SystemActor("worker")


async def build_pending(services: Services) -> None:
    """Build every revision that waits for it; one that another worker is building is left to it."""
    async with services.database.read_session() as session:
        query = select(RevisionRow.id).where(
            RevisionRow.build == "pending", RevisionRow.state.in_(("awaiting_approval", "approved"))
        )
        waiting = list((await session.execute(query.order_by(RevisionRow.created_at))).scalars())
    for revision_id in waiting:
        async with try_lock(services.database, f"build:{revision_id}") as held:
            if held:
                await _build(services, revision_id)


async def _build(services: Services, revision_id: str) -> None:
    async with services.database.read_session() as session:
        revision = await session.get(RevisionRow, revision_id)
        assert revision is not None
        deployment = await session.get(DeploymentRow, revision.deployment_id)
        assert deployment is not None
    if revision.build != "pending":
        return
    name, version, digest = deployment.model_name, revision.version, revision.digest
    bundle = bundle_folder(services.settings.bundle_dir, digest, name, version)
    if not (bundle / "bundle.json").exists():
        scratch = services.settings.bundle_dir / f".building-{revision_id}"
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))
        scratch.mkdir(parents=True, mode=0o700)
        try:
            source = await services.registry.download(name, version, scratch / "artifacts")
            found = await anyio.to_thread.run_sync(tree_digest, source)
            if found != digest:
                sentence = (
                    f"The artifacts changed after the request: {found} was found, {digest} was approved or asked for."
                )
                await _refuse(
                    services, revision_id, sentence, [{"name": "digest", "status": "failed", "detail": sentence}]
                )
                return
            log.info("building", model=name, version=version, digest=digest)
            report = await _run(services, source, scratch / "bundle", name, version, revision.feature_refs)
            if report["verdict"] != "built":
                await _refuse(
                    services,
                    revision_id,
                    report.get("detail") or report.get("sentence") or str(report.get("reason")),
                    report["steps"],
                )
                return
            await _keep_background(services, scratch, name, version)
            # the rename is what makes a bundle exist: a half-built one is never seen
            if not bundle.exists():
                (scratch / "bundle").rename(bundle)
        finally:
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))
    address = await anyio.to_thread.run_sync(services.bundles.publish, bundle)
    await _accept(services, revision_id, bundle, address)


def bundle_folder(folder: Path, digest: str, name: str, version: int) -> Path:
    """Return where the bundle of these bytes lies."""
    return folder.absolute() / f"{digest.removeprefix('sha256:')[:24]}-{name}-{version}"


async def _run(
    services: Services, source: Path, output: Path, name: str, version: int, refs: list[str]
) -> dict[str, Any]:
    """Run the build program and return its report."""
    settings = services.settings
    command = [
        sys.executable, "-m", "model_server.build", "--source", str(source), "--output", str(output), "--name", name,
        "--version", str(version), "--memory-bytes", str(settings.build_memory_bytes), "--cpu-seconds", str(settings.build_cpu_seconds),
        "--timeout-seconds", str(settings.build_timeout_seconds), *(part for ref in refs for part in ("--feature-ref", ref)),
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        # the program enforces its own limits; this one is for a program that hangs
        printed, _ = await asyncio.wait_for(process.communicate(), settings.build_timeout_seconds + 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    path = output / "report.json"
    if not path.exists():
        log.error("build left no report", code=process.returncode, printed=printed.decode(errors="replace")[-2_000:])
        sentence = "The build ended without a report; the worker's log says why."
        return {"verdict": "refused", "reason": "no_report", "detail": sentence, "steps": []}
    report: dict[str, Any] = json.loads(path.read_text())
    return report


async def _keep_background(services: Services, scratch: Path, name: str, version: int) -> None:
    """Keep the training sample the run logged, when the model itself carries none."""
    kept = scratch / "bundle" / "background.json"
    if not kept.exists():
        sample = await services.registry.training_sample(name, version, scratch / "sample")
        if sample is not None:
            await anyio.to_thread.run_sync(lambda: shutil.copyfile(sample, kept.with_name(TRAINING_SAMPLE)))


async def _accept(services: Services, revision_id: str, bundle: Path, address: str) -> None:
    description = json.loads((bundle / "bundle.json").read_text())
    report = json.loads((bundle / "report.json").read_text())
    async with services.database.session() as session:
        revision, deployment = await _locked(session, revision_id)
        if revision.build != "pending":
            return
        revision.build, revision.bundle, revision.engine = "built", address, description["engine"]
        if not revision.feature_refs:
            revision.feature_refs = list(description.get("feature_refs", []))
        deployment.generation += 1
        await models.set_input_schema(session, deployment.model_name, revision.version, description["inputs"])
        await _record(session, deployment, revision, report["steps"])
        # where people approve, they see a failed check and weigh it; where nobody does, it stops the version
        if revision.approval_id is None and await _a_check_failed(session, deployment, revision):
            await _fail(session, deployment, revision, "an automatic check failed; see the version's checks")
            return
        await models.set_stage(
            session,
            deployment.model_name,
            revision.version,
            "validation",
            ACTOR,
            deployment.tenant,
            only_from="development",
        )
        await audit.record(
            session, action=Action.DEPLOYMENT_BUILT, actor=ACTOR, resource=f"deployment:{deployment.id}", tenant=deployment.tenant,
            details={"revision": revision.number, "digest": revision.digest, "engine": revision.engine, "onnx": (description.get("onnx") or {}).get("sha256")},
        )  # fmt: skip


async def _refuse(services: Services, revision_id: str, sentence: str, steps: list[dict[str, Any]]) -> None:
    async with services.database.session() as session:
        revision, deployment = await _locked(session, revision_id)
        revision.build = "refused"
        await _record(session, deployment, revision, steps)
        await _fail(session, deployment, revision, sentence)


async def _fail(session: Session, deployment: DeploymentRow, revision: RevisionRow, sentence: str) -> None:
    if revision.state in {"awaiting_approval", "approved"}:
        await service.move(session, deployment, revision, "failed", sentence, ACTOR)
        await approvals.withdraw(session, revision.id, sentence)
    deployment.generation += 1


async def _record(
    session: Session, deployment: DeploymentRow, revision: RevisionRow, steps: list[dict[str, Any]]
) -> None:
    """Keep each step of the build, and what the registry's records say, as evidence."""
    name, number = deployment.model_name, revision.version
    for step in steps:
        detail = step.get("detail")
        sentence = detail if isinstance(detail, str) else str(step["name"])
        await checks.record(
            session,
            name,
            number,
            step["name"],
            step["status"],
            sentence,
            {key: value for key, value in step.items() if key != "name"},
        )
    view = await models.get_version(session, None, name, number)
    baseline = await models.earlier_metrics(session, name, number)
    for finding in (performance(view.metrics, baseline), lineage(view.lineage, view.owner)):
        await _keep(session, name, number, finding)


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
