"""What was approved is what serves: files that were changed, states nobody decided, statements of others.

A real database, audit log, signatures and data plane; a new application on the same home is an API that was restarted.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import REGISTRY
from sqlalchemy import text

from mlops_platform.adapters.local.statement_key import FileStatementSigner
from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.kit.clock import now
from mlops_platform.kit.digests import file_sha256
from mlops_platform.settings import PACKAGE
from mlops_platform.statements.bundle_hashes import statement_file
from model_server.trust.envelope import seal

from ..conftest import client_for
from ..support.ground import Ground
from ..support.waiting import eventually_async

Headers = Callable[..., dict[str, str]]


async def _predict(client: httpx.AsyncClient, headers: dict[str, str], name: str) -> httpx.Response:
    body = {"model_name": name, "model_version": "latest", "input_data": {"x": 4.0}}
    return await client.post("/api/v1/predict", json=body, headers=headers)


async def _first_answer(client: httpx.AsyncClient, headers: dict[str, str], name: str) -> httpx.Response:
    """The answer of an application that has read the routes: a process that just began says so with another sentence."""

    async def answered() -> httpx.Response | None:
        response = await _predict(client, headers, name)
        began = response.status_code == 503 and "just started" in response.text
        return None if began else response

    found = await eventually_async(answered, 20, "the routes were read")
    assert found is not None
    return found


async def _one_live(ground: Ground) -> tuple[str, Path]:
    await ground.answering(1)
    [name] = ground.names
    await eventually_async(lambda: _answers(ground, name), 20, f"{name} answers")
    return name, next(ground.services.settings.bundle_dir.glob(f"*-{name}-1"))


async def _answers(ground: Ground, name: str) -> bool:
    return (await _predict(ground.client, ground.headers, name)).is_success


async def _revision(ground: Ground, name: str) -> dict[str, Any]:
    [found] = [one for one in (await ground.ask("GET", "/deployments"))["items"] if one["model_name"] == name]
    newest: dict[str, Any] = (await ground.ask("GET", f"/deployments/{found['id']}"))["revisions"][0]
    return newest


def _flip(path: Path, at: int = -2) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def _graph_and_its_checksum(bundle: Path) -> None:
    _flip(bundle / "model.onnx", 60)
    described = json.loads((bundle / "bundle.json").read_text())
    described["onnx"]["sha256"] = file_sha256(bundle / "model.onnx")
    (bundle / "bundle.json").write_text(json.dumps(described))


def _a_link(bundle: Path) -> None:
    copy = bundle.parent / "elsewhere.onnx"
    copy.write_bytes((bundle / "model.onnx").read_bytes())
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to(copy)


CHANGES: dict[str, Callable[[Path], None]] = {
    "graph": lambda bundle: _flip(bundle / "model.onnx", 60),
    "graph and the checksum beside it": _graph_and_its_checksum,
    "description": lambda bundle: _flip(bundle / "bundle.json", 5),
    "report": lambda bundle: _flip(bundle / "report.json"),
    "a file is gone": lambda bundle: (bundle / "report.json").unlink(),
    "a link in its place": _a_link,
    "no statement": lambda bundle: [path.unlink() for path in bundle.glob("statement-*")] and None,
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_file_is_refused_at_restart_and_the_process_that_has_it_goes_on(
    ground: Ground, change: str
) -> None:
    name, bundle = await _one_live(ground)
    CHANGES[change](bundle)
    assert await _answers(ground, name), "what is in memory was verified"
    async with client_for(ground.services) as restarted:
        refused = await _first_answer(restarted, ground.headers, name)
        assert refused.status_code == 503, refused.text

        async def counted() -> bool:
            shown = [
                sample.value
                for metric in REGISTRY.collect()
                if metric.name == "revisions_refused"
                for sample in metric.samples
            ]
            return any(value == 1 for value in shown)

        await eventually_async(counted, 10, "the metric says so")


async def test_the_previous_revision_answers_while_a_changed_one_is_refused(ground: Ground) -> None:
    name, _ = await _one_live(ground)
    await ground.another_version(name)
    body = {"model_name": name, "model_version": "2", "target_stage": "staging", "justification": "because"}
    await ground.ask("POST", "/models/deploy", body)
    await ground.run("deployment-builds")
    await ground.reconciled({name: "live"})
    async with client_for(ground.services) as restarted:
        assert (await _first_answer(restarted, ground.headers, name)).json()["model_version"] == "2"
    _flip(next(ground.services.settings.bundle_dir.glob(f"*-{name}-2")) / "model.onnx", 60)
    async with client_for(ground.services) as restarted:
        answer = await _first_answer(restarted, ground.headers, name)
        assert answer.json()["model_version"] == "1"
        named = body | {"input_data": {"x": 4.0}}
        asked = {key: named[key] for key in ("model_name", "model_version", "input_data")}
        version = await restarted.post("/api/v1/predict", json=asked, headers=ground.headers)
        assert version.status_code == 503, "whoever names the version is told"


async def test_an_answer_and_the_metadata_name_the_approval(ground: Ground) -> None:
    name, _ = await _one_live(ground)
    assert (await _predict(ground.client, ground.headers, name)).headers["x-mlops-approval"] == "not-required"
    shown = (await ground.client.get(f"/v2/models/{name}", headers=ground.headers)).json()["properties"]
    assert shown["approval"] == "not-required"
    assert shown["statement"].startswith("sha256:")


def _signed_by_another(ground: Ground, bundle: Path, revision: str) -> None:
    stranger = FileStatementSigner(bundle.parent / "stranger.pem", bundle.parent / "stranger.pub")
    path = bundle / statement_file(revision)
    payload = base64.b64decode(json.loads(path.read_text())["payload"])
    path.write_bytes(seal(payload, stranger.key_id(), stranger.sign))


def _payload_changed(ground: Ground, bundle: Path, revision: str) -> None:
    path = bundle / statement_file(revision)
    envelope = json.loads(path.read_text())
    said = json.loads(base64.b64decode(envelope["payload"]))
    said["subject"] = said["subject"][:2]
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()
    path.write_text(json.dumps(envelope))


def _no_signature(ground: Ground, bundle: Path, revision: str) -> None:
    path = bundle / statement_file(revision)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"signatures": []}))


def _of_another_model(ground: Ground, bundle: Path, revision: str) -> None:
    other = next(path for path in bundle.parent.glob("*/statement-*") if path.parent != bundle)
    (bundle / statement_file(revision)).write_bytes(other.read_bytes())


@pytest.mark.parametrize("change", [_signed_by_another, _payload_changed, _no_signature, _of_another_model])
async def test_a_statement_that_is_not_this_ones_is_none(
    ground: Ground, change: Callable[[Ground, Path, str], None]
) -> None:
    await ground.answering(2)
    name = ground.names[0]
    bundle = next(ground.services.settings.bundle_dir.glob(f"*-{name}-1"))
    change(ground, bundle, (await _revision(ground, name))["id"])
    async with client_for(ground.services) as restarted:
        assert (await _first_answer(restarted, ground.headers, name)).status_code == 503
        assert (await _first_answer(restarted, ground.headers, ground.names[1])).is_success


SQL = {
    "the request is called approved": [
        "UPDATE approvals SET status = 'approved', settled_at = now()",
        "UPDATE revisions SET state = 'approved'",
    ],
    "decisions are written into the table": [
        """INSERT INTO approval_decisions (approval_id, person, roles, verdict, comment, at)
        SELECT id, 'max@company.com', '["manager"]', 'approve', '', now() FROM approvals""",
        "UPDATE approvals SET status = 'approved', settled_at = now()",
        "UPDATE revisions SET state = 'approved'",
    ],
    "the revision needs nobody": ["UPDATE revisions SET state = 'approved', approval_id = NULL, risk_level = 'low'"],
    "the request needs nobody": [
        "UPDATE approvals SET status = 'approved', requirements = '[]'",
        "UPDATE revisions SET state = 'approved'",
    ],
    "it is live at once": ["UPDATE revisions SET state = 'live', traffic = 1, build = 'built'"],
}


@pytest.mark.parametrize("statements", SQL.values(), ids=SQL)
async def test_a_state_in_a_table_starts_nothing(ground: Ground, statements: list[str]) -> None:
    await ground.deployed(1, "medium")
    [name] = ground.names
    await ground.run("deployment-builds")
    async with ground.services.database.session() as session:
        for statement in statements:
            await session.execute(text(statement))
        await session.execute(text("UPDATE routing_generation SET generation = generation + 1"))
    await ground.run("deployment-reconcile")
    revision = await _revision(ground, name)
    async with client_for(ground.services) as restarted:
        assert not (await _first_answer(restarted, ground.headers, name)).is_success
    if "state = 'live'" not in statements[0]:
        assert revision["state"] == "failed"
        assert "does not prove the approval" in revision["reason"]


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE revisions SET config = config || '{"environment_vars": {"A": "evil"}}'""",
        "UPDATE revisions SET digest = 'sha256:' || repeat('0', 64)",
        "UPDATE revisions SET version = 7",
        "UPDATE deployments SET environment = 'production'",
    ],
)
async def test_what_was_agreed_to_cannot_be_exchanged_before_it_starts(ground: Ground, change: str) -> None:
    await ground.deployed(1)
    await ground.run("deployment-builds")
    async with ground.services.database.session() as session:
        await session.execute(text(change))
    await ground.run("deployment-reconcile")
    assert set((await ground.states()).values()) == {"failed"}


async def test_an_edited_event_proves_nothing(ground: Ground) -> None:
    await ground.deployed(1, "medium")
    await ground.run("deployment-builds")
    async with ground.services.database.session() as session:
        await session.execute(text("UPDATE revisions SET state = 'approved', approval_id = NULL"))
        asked = "SELECT seq, payload FROM audit_events WHERE action = 'deployment:revision:requested'"
        [(seq, payload)] = await session.execute(text(asked))
        said = json.loads(payload)
        said["details"] |= {"approval": None, "requirements": []}
        edited = {"seq": seq, "payload": canonical_bytes(said).decode()}
        await session.execute(text("UPDATE audit_events SET payload = :payload WHERE seq = :seq"), edited)
    await ground.run("deployment-reconcile")
    [name] = ground.names
    assert "audit log" in (await _revision(ground, name))["reason"]


async def _approved(ground: Ground, as_: Headers) -> tuple[str, str]:
    [answer] = (await ground.deployed(1, "medium")).values()
    await ground.run("deployment-builds")
    for person, role in (("max@company.com", "manager"), ("sam@company.com", "senior-data-scientist")):
        decided = await ground.client.post(
            f"/api/v1/approvals/{answer['approval_id']}/decisions",
            json={"decision": "approve"},
            headers=as_(person, role),
        )
        assert decided.is_success, decided.text
    [name] = ground.names
    await ground.reconciled({name: "live"})
    return name, answer["approval_id"]


def _policy(ground: Ground, tmp_path: Path, **changes: Any) -> Ground:
    content = yaml.safe_load((PACKAGE / "policy" / "policy.yaml").read_text())
    content["statements"] |= changes.pop("statements", {})
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    settings = ground.services.settings.model_copy(update={"policy_file": path})
    return replace(ground, services=replace(ground.services, settings=settings))


async def test_a_withdrawn_approval_is_reviewed_then_drained_and_every_process_hears_of_it(
    ground: Ground, as_: Headers, tmp_path: Path
) -> None:
    name, approval = await _approved(ground, as_)
    answer = await eventually_async(lambda: _named(ground, name), 20, "it answers")
    assert answer == approval
    revoke = f"/api/v1/approvals/{approval}/revoke"
    refused = await ground.client.post(revoke, json={"reason": "wrong data"}, headers=ground.headers)
    assert refused.status_code == 403
    gone = await ground.client.post(revoke, json={"reason": "wrong data"}, headers=as_("max@company.com", "manager"))
    assert gone.json()["status"] == "revoked", gone.text
    await ground.run("approval-reviews")
    assert (await _revision(ground, name))["state"] == "live", "it has the policy's grace"
    impatient = _policy(ground, tmp_path, statements={"review_grace_hours": 0.0})
    await impatient.run("approval-reviews")
    assert (await _revision(ground, name))["state"] == "retired"
    await ground.run("revocation-list")
    async with client_for(ground.services) as restarted:
        assert (await _first_answer(restarted, ground.headers, name)).status_code == 404


async def _named(ground: Ground, name: str) -> str | None:
    return (await _predict(ground.client, ground.headers, name)).headers.get("x-mlops-approval")


@pytest.mark.parametrize("why", ["risk", "binding policy", "end of the approval"])
async def test_what_runs_is_due_for_review(ground: Ground, tmp_path: Path, why: str) -> None:
    name, _ = await _one_live(ground)
    if why == "risk":
        async with ground.services.database.session() as session:
            await session.execute(text("UPDATE risk_records SET level = 'high'"))
    elif why == "binding policy":
        ground = _policy(ground, tmp_path, binding=True)
    else:
        async with ground.services.database.session() as session:
            await session.execute(text("UPDATE statements SET valid_until = :at"), {"at": now() + timedelta(hours=1)})
    await ground.run("approval-reviews")
    async with ground.services.database.read_session() as session:
        reason = await session.scalar(text("SELECT review_reason FROM revisions WHERE review_since IS NOT NULL"))
    assert reason
    assert {"risk": "risk level rose", "binding policy": "binding", "end of the approval": "ends on"}[why] in reason
    assert await _answers(ground, name)
