"""One item that breaks whoever touches it stops none of its neighbours, in any job of the worker."""

import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select, text, update

from mlops_platform.adapters.notices.http import WebhookChannel
from mlops_platform.adapters.notices.rules import Rules
from mlops_platform.approvals.tables import ApprovalRow
from mlops_platform.builds.tables import GateRunRow
from mlops_platform.checks.tables import ModelCheckRow
from mlops_platform.costs.interfaces import Meter, ProcessUse, Reading
from mlops_platform.dependencies import Services
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.environment_locks.interfaces import LOCK
from mlops_platform.identity import elevations
from mlops_platform.identity.tables import ElevationRow
from mlops_platform.jobs import JOBS
from mlops_platform.kit.clock import now
from mlops_platform.mlflow_door.tables import PendingChangeRow
from mlops_platform.models import flavours
from mlops_platform.models.tables import ModelVersionRow
from mlops_platform.monitoring import certificates
from mlops_platform.notifications import delivering, spreading
from mlops_platform.notifications.tables import NoticeRow
from mlops_platform.statements import service as statements
from mlops_platform.statements.agreement import Agreement, Subject
from tests.support.ground import Ground, job
from tests.support.receivers import SECRET, listening
from tests.support.wheels import installed

Case = Callable[[Ground, pytest.MonkeyPatch], Awaitable[None]]
CASES: dict[str, Case] = {}

# nothing of theirs can fail alone
WITHOUT_ITEMS = {
    "model-metrics": "the database counts",
    "deployment-metrics": "the database counts",
    "prediction-log-metrics": "looks at names and ages of files only",
    "prediction-table-tidy": "one operation of the table",
    "feature-metrics": "one answer of the feature registry",
    "audit-mirror": "copies in order: what comes after a damaged event must not hide it",
    "audit-anchor": "anchors in order",
    "idempotency-keys": "one statement",
    "revocation-list": "one list",
    "forgotten-sessions": "one statement for each table",
    "forgotten-notices": "one statement",
    "notice-metrics": "the database counts",
    "failing-metrics": "the database counts",
    "backup-age": "one listing of names",
    "unused-libraries": "what a description names is not known: nothing is removed that it may need",
}


# what is tried again, and shown to its owner until it succeeds
KEPT = {
    "approval-expiry",
    "deployment-builds",
    "deployment-reconcile",
    "explanation-backgrounds",
    "flavour-checks",
    "gate-measurements",
    "lost-bundles",
    "lost-libraries",
    "mlflow-pending-changes",
    "registry-mirror",
    "approval-reviews",
}


def case(name: str) -> Callable[[Case], Case]:
    def keep(function: Case) -> Case:
        CASES[name] = function
        return function

    return keep


def test_every_job_is_here() -> None:
    assert CASES.keys() | WITHOUT_ITEMS.keys() == {job.name for job in JOBS}
    assert not CASES.keys() & WITHOUT_ITEMS.keys()


@case("registry-mirror")
async def _a_version_that_cannot_be_read(ground: Ground, _: pytest.MonkeyPatch) -> None:
    registry = ground.services.registry
    ground.names += ["poison-a", "poison-b", "poison-c"]
    for name in ground.names:
        await registry.register(name, "runs:/0/model", tenant="default", tags={}, description="", model_tags={})
    ground.spoil("registry", "get_version", lambda name, _: name == ground.poisoned)
    await ground.run("registry-mirror")
    async with ground.services.database.read_session() as session:
        assert set(await session.scalars(select(ModelVersionRow.name))) == ground.neighbours


@case("flavour-checks")
async def _a_version_whose_description_cannot_be_read(ground: Ground, _: pytest.MonkeyPatch) -> None:
    ground.names += ["poison-a", "poison-b", "poison-c"]
    for name in ground.names:
        uri, facts = "runs:/0/model", {"tags": {}, "description": "", "model_tags": {}}
        await ground.services.registry.register(name, uri, tenant="default", **facts)
    await ground.run("registry-mirror")
    ground.spoil("registry", "description", lambda uri, **_: ground.poisoned in uri)
    await ground.run("flavour-checks")
    async with ground.services.database.read_session() as session:
        checked = select(ModelCheckRow.name).where(ModelCheckRow.check == flavours.CHECK)
        assert set(await session.scalars(checked)) == ground.neighbours


@case("mlflow-pending-changes")
async def _a_change_whose_model_cannot_be_read(ground: Ground, _: pytest.MonkeyPatch) -> None:
    ground.names += ["poison-a", "poison-b", "poison-c"]
    async with ground.services.database.session() as session:
        for name in ground.names:
            row = {"subject": "ana@company.com", "tenant": "default", "action": "model:model:changed", "details": {}}
            session.add(
                PendingChangeRow(id=name, at=now() - timedelta(hours=1), name=name, resource=f"model:{name}", **row)
            )
    ground.spoil("registry", "get_model", lambda name: name == ground.poisoned)
    await ground.run("mlflow-pending-changes")
    async with ground.services.database.read_session() as session:
        assert list(await session.scalars(select(PendingChangeRow.name))) == [ground.poisoned]


@case("deployment-builds")
async def _a_version_whose_artifacts_cannot_be_fetched(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.deployed()
    ground.spoil("signer", "verify", lambda bundle: ground.poisoned in str(bundle))
    await ground.run("deployment-builds")
    async with ground.services.database.read_session() as session:
        built = await session.execute(
            text(
                "SELECT d.model_name FROM revisions r JOIN deployments d ON d.id = r.deployment_id WHERE build = 'built'"
            )
        )
        assert {row.model_name for row in built} == ground.neighbours


@case("gate-measurements")
async def _a_version_that_cannot_be_measured(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.registered(2)
    for name in reversed(ground.names):
        await ground.ask("POST", f"/models/{name}/versions/1/gates", {"gate": "validate"})
    ground.spoil("registry", "download", lambda name, *_: name == ground.poisoned)
    await ground.run("gate-measurements")
    async with ground.services.database.read_session() as session:
        done = await session.scalars(select(GateRunRow.name).where(GateRunRow.state == "done"))
        assert set(done) == ground.neighbours


@case("deployment-reconcile")
async def _a_deployment_the_runtime_chokes_on(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.deployed()
    await ground.run("deployment-builds")
    ground.spoil("runtime", "apply", lambda spec: spec.model_name == ground.poisoned)
    await ground.reconciled(dict.fromkeys(ground.neighbours, "live"))
    assert (await ground.states())[ground.poisoned] == "approved"


@case("approval-expiry")
async def _an_overdue_request_for_nothing(ground: Ground, _: pytest.MonkeyPatch) -> None:
    held = await ground.deployed(risk="medium")
    async with ground.services.database.session() as session:
        await session.execute(update(ApprovalRow).values(expires_at=now() - timedelta(days=1)))
        gone = update(ApprovalRow).where(ApprovalRow.id == held[ground.poisoned]["approval_id"])
        await session.execute(gone.values(subject_id="no-such-revision"))
    await ground.run("approval-expiry")
    states = await ground.states()
    assert {states[name] for name in ground.neighbours} == {"expired"}


@case("approval-reminders")
async def _an_overdue_request_that_cannot_be_read(ground: Ground, _: pytest.MonkeyPatch) -> None:
    held = await ground.deployed(risk="medium")
    async with ground.services.database.session() as session:
        await session.execute(update(ApprovalRow).values(due_at=now() - timedelta(days=1)))
        gone = update(ApprovalRow).where(ApprovalRow.id == held[ground.poisoned]["approval_id"])
        await session.execute(gone.values(requirements=[{"role": "wizard", "count": 1}]))
    for _again in range(2):
        await ground.run("approval-reminders")
    async with ground.services.database.read_session() as session:
        kind = NoticeRow.kind == "approval-overdue"
        reminded = sorted(await session.scalars(select(NoticeRow.subject).where(kind)))
    assert reminded == sorted(f"approval:{held[name]['approval_id']}" for name in ground.neighbours)


@case("ended-elevations")
async def _a_role_whose_end_cannot_be_recorded(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.names += ["poison-a", "poison-b", "poison-c"]
    began = now() - timedelta(hours=2)
    async with ground.services.database.session() as session:
        for name in ground.names:
            times = {"began_at": began, "ends_at": began + timedelta(hours=1)}
            session.add(ElevationRow(id=name, subject=name, tenant="default", role="auditor", reason="tests", **times))
    record = elevations._record

    async def spoilt(session: Any, action: Any, actor: Any, row: ElevationRow, more: dict[str, str]) -> None:
        if row.id == ground.poisoned:
            raise RuntimeError("poisoned")
        await record(session, action, actor, row, more)

    monkeypatch.setattr(elevations, "_record", spoilt)
    await ground.run("ended-elevations")
    async with ground.services.database.read_session() as session:
        ended = select(ElevationRow.id).where(ElevationRow.ended_at.is_not(None))
        assert set(await session.scalars(ended)) == ground.neighbours


@case("notices")
async def _a_notice_of_a_kind_there_is_no_more(ground: Ground, _: pytest.MonkeyPatch) -> None:
    held = await ground.deployed(risk="medium")
    async with ground.services.database.session() as session:
        gone = update(NoticeRow).where(NoticeRow.subject == f"approval:{held[ground.poisoned]['approval_id']}")
        await session.execute(gone.values(kind="wedding"))
    await ground.run("notices")
    async with ground.services.database.read_session() as session:
        waiting = (await session.scalars(select(NoticeRow.kind).where(NoticeRow.spread_at.is_(None)))).all()
    assert waiting == ["wedding"]


@case("notice-deliveries")
async def _a_copy_whose_notice_is_of_a_kind_there_is_no_more(ground: Ground, _: pytest.MonkeyPatch) -> None:
    with listening() as receiver:
        channels = WebhookChannel("hook", receiver.url, SECRET, Rules())
        held = await ground.deployed(risk="medium")
        await spreading.spread(ground.services.database, [channels], "http://platform")
        async with ground.services.database.session() as session:
            gone = update(NoticeRow).where(NoticeRow.subject == f"approval:{held[ground.poisoned]['approval_id']}")
            await session.execute(gone.values(kind="wedding"))
        await delivering.deliver(ground.services.database, [channels], "http://platform")
        told = sorted(body["data"]["subject"] for body in receiver.bodies())
    assert told == sorted(f"approval:{held[name]['approval_id']}" for name in ground.neighbours)


@case("approval-metrics")
async def _a_request_of_a_role_there_is_no_more(ground: Ground, _: pytest.MonkeyPatch) -> None:
    held = await ground.deployed(risk="medium")
    async with ground.services.database.session() as session:
        old = update(ApprovalRow).where(ApprovalRow.id == held[ground.poisoned]["approval_id"])
        await session.execute(old.values(requirements=[{"role": "wizard", "count": 1}]))
    await ground.run("approval-metrics")
    assert REGISTRY.get_sample_value("approvals_pending", {"role": "manager"}) == len(ground.neighbours)


@case("approval-reviews")
async def _a_revision_that_cannot_be_judged(ground: Ground, patch: pytest.MonkeyPatch) -> None:
    await ground.answering()
    prove = statements.prove

    async def spoiled(services: Services, subject: Subject) -> Agreement:
        if subject.model_name == ground.poisoned:
            raise ValueError("no event like this was foreseen")
        return await prove(services, subject)

    patch.setattr(statements, "prove", spoiled)
    async with ground.services.database.session() as session:
        await session.execute(text("UPDATE risk_records SET level = 'high'"))
    await ground.run("approval-reviews")
    async with ground.services.database.read_session() as session:
        due = select(DeploymentRow.model_name).join(RevisionRow).where(RevisionRow.review_since.is_not(None))
        assert set(await session.scalars(due)) == ground.neighbours


@case("lost-bundles")
async def _a_bundle_that_cannot_be_looked_for(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.answering()
    for statement in ground.services.settings.bundle_dir.glob("*/statement-*"):
        statement.unlink()
    ground.spoil("bundles", "fetch", lambda address: ground.poisoned in address)
    await ground.run("lost-bundles")
    kept = {path.parent.name for path in ground.services.settings.bundle_dir.glob("*/statement-*")}
    assert {name for name in ground.names if any(name in folder for folder in kept)} == ground.neighbours


@case("lost-libraries")
async def _libraries_that_cannot_be_installed(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.answering()
    store = ground.services.environments
    empty = store.lock([], f"{sys.version_info.major}.{sys.version_info.minor}")
    wanted: dict[str, str] = {}
    for described in ground.services.settings.bundle_dir.glob("*/bundle.json"):
        name = next(each for each in ground.names if each in described.parent.name)
        lock = replace(empty, text=f"# {name}\n")
        wanted[name] = lock.name
        described.write_text(json.dumps({**json.loads(described.read_text()), "libraries": lock.name}))
        (described.parent / LOCK).write_text(json.dumps(lock.as_json()))
        await ground.services.signer.sign(described.parent)
    ground.spoil("environments", "provide", lambda lock: ground.poisoned in lock.text)
    await ground.run("lost-libraries")
    there = set(installed(store.root))
    assert {name for name in ground.names if wanted[name] in there} == ground.neighbours


@case("prediction-log")
async def _a_segment_that_is_none(ground: Ground, _: pytest.MonkeyPatch) -> None:
    log = ground.services.prediction_log
    segments = ground.services.settings.prediction_log_dir / "segments"
    for number in range(3):
        log.append(_record(number), 1)
        log.close()
    middle = sorted(segments.glob("*.ready"))[1]
    middle.write_bytes(re.sub(rb'"at":[0-9.]+', b'"at":1e300', middle.read_bytes()))
    await ground.run("prediction-log")
    assert len(log.window("m", 1, now() - timedelta(hours=1), 10)) == 2


@case("explanation-backgrounds")
async def _a_model_whose_rows_cannot_be_read(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.answering()
    _log_rows(ground, 30)
    ground.spoil("prediction_log", "window", lambda name, *_: name == ground.poisoned)
    await ground.run("explanation-backgrounds")
    kept = {path.parent.name for path in ground.services.settings.bundle_dir.rglob("recent-inputs.json")}
    assert {name for name in ground.names if any(name in folder for folder in kept)} == ground.neighbours


@case("drift")
async def _a_model_whose_inputs_cannot_be_compared(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.answering()
    _log_rows(ground, 5)
    ground.spoil("prediction_log", "window", lambda name, *_: name == ground.poisoned)
    await ground.run("drift")
    compared = {
        name: REGISTRY.get_sample_value("drift_rows_compared", {"model_name": name}) for name in ground.neighbours
    }
    assert compared == dict.fromkeys(ground.neighbours, 5)


@case("platform-probes")
async def _a_part_whose_probe_breaks(ground: Ground, _: pytest.MonkeyPatch) -> None:
    ground.spoil("registry", "ping", lambda: True)
    await ground.run("platform-probes")
    up = {part: REGISTRY.get_sample_value("platform_up", {"component": part}) for part in ("database", "mlflow")}
    assert up == {"database": 1, "mlflow": 0}


@case("certificates")
async def _a_certificate_nobody_can_read(ground: Ground, patch: pytest.MonkeyPatch) -> None:
    def expiry(host: str, port: int) -> Any:
        if host == "poisoned":
            raise ValueError("a serial number below zero")
        return now()

    patch.setattr(certificates, "expiry", expiry)
    urls = {"issuer": "https://poisoned", "mlflow_url": "https://one", "public_url": "https://two"}
    ground.services = replace(ground.services, settings=ground.services.settings.model_copy(update=urls))
    await ground.run("certificates")
    for address in ("one:443", "two:443"):
        assert REGISTRY.get_sample_value("tls_certificate_expiry_timestamp_seconds", {"address": address})


@case("audit-verification")
async def _an_event_that_is_no_event(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.registered(4)
    async with ground.services.database.session() as session:
        await session.execute(text("UPDATE audit_events SET payload = 'null' WHERE seq = 2"))
        await session.execute(text("UPDATE audit_events SET tenant = 'another' WHERE seq = 4"))
    await ground.run("audit-verification")
    # both are found: the text, its tree from there on, and the column behind it
    assert REGISTRY.get_sample_value("audit_verification_ok") == 0
    shown = await ground.client.get("/api/v1/audit/verify", headers=ground.headers)
    assert shown.is_success or shown.status_code == 403
    assert (REGISTRY.get_sample_value("audit_verification_problems") or 0) >= 3


@case("audit-verification-new")
async def _an_event_that_is_no_event_and_new(ground: Ground, _: pytest.MonkeyPatch) -> None:
    await ground.registered(2)
    await ground.run("audit-verification-new")
    await ground.registered(2)
    async with ground.services.database.session() as session:
        await session.execute(text("UPDATE audit_events SET payload = 'null' WHERE seq = 3"))
        await session.execute(text("UPDATE audit_events SET tenant = 'another' WHERE seq = 4"))
    await ground.run("audit-verification-new")
    assert REGISTRY.get_sample_value("audit_verification_ok") == 0
    assert (REGISTRY.get_sample_value("audit_verification_problems") or 0) >= 3


@case("costs")
async def _a_process_with_impossible_figures(ground: Ground, _: pytest.MonkeyPatch) -> None:
    class Two(Meter):
        def read(self) -> Reading:
            def use(pid: int, cpu: float) -> ProcessUse:
                return ProcessUse(
                    pid=pid, created=0.0, service="models", revision_id="", cpu_seconds=cpu, memory_bytes=0
                )

            return Reading(at=now(), processes=(use(1, 3_600.0), use(2, float("nan"))), stored=())

    ground.services = replace(ground.services, costs=Two())
    await ground.run("costs")
    spent = [
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "cost_month_to_date_usd" and sample.labels["service"] == "models"
    ]
    assert sum(spent) == pytest.approx(0.024, rel=0.2)


def _record(number: int, model: str = "m") -> bytes:
    return orjson.dumps(
        {
            "id": f"p-{model}-{number}",
            "at": now().timestamp(),
            "model": model,
            "version": 1,
            "revision": "r",
            "environment": "staging",
            "tenant": "default",
            "inputs": [{"x": float(number)}],
            "predictions": [0.5],
            "entities": None,
            "seconds": 0.001,
        }
    )


def _log_rows(ground: Ground, count: int) -> None:
    log = ground.services.prediction_log
    for name in ground.names:
        for number in range(count):
            log.append(_record(number, name), 1)
    log.close()
    log.move()


@pytest.mark.parametrize("name", sorted(CASES))
async def test_its_neighbours_are_done(name: str, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job(name)
    await CASES[name](ground, monkeypatch)
    if name in KEPT:
        answer = await ground.ask("GET", "/failing-items")
        kept = [item for item in answer["items"] if item["job"] == name]
        assert kept, "its owner sees that it failed"
        assert all(item["attempts"] >= 1 and item["error"] and item["next_try_at"] for item in kept)
