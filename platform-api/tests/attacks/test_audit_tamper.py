"""The tamper table: what somebody with the database's password, and with the home besides, can do to the audit log.

Each line changes a log that verifies, and must be found. What nobody can see without a witness is shown to pass without
one, and to be found with a head that was kept elsewhere: so the witness is what finds it.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from mlops_platform.audit import service
from mlops_platform.audit.heads import SignedHead, parse_head
from mlops_platform.audit.merkle import Frontier, leaf_hash
from mlops_platform.audit.schemas import Verification
from mlops_platform.audit.signing import AuditLog
from mlops_platform.audit.verify import verify
from mlops_platform.cli import witness as cli_witness
from mlops_platform.database.session import Database
from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.worker import run_job
from tests.support.ground import Ground, job

AUDITOR = ("aud@company.com", "auditor")


@dataclass
class Log:
    """A platform on which somebody asked for two deployments, and people decided on one."""

    ground: Ground
    audit: AuditLog
    as_: Callable[..., dict[str, str]]

    @property
    def database(self) -> Database:
        return self.ground.services.database

    @property
    def anchor(self) -> Path:
        return self.audit.anchor_file

    async def sql(self, statements: str) -> None:
        async with self.database.session() as session:
            # what owns the tables may switch their foreign keys off
            await session.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements.split("; "):
                await session.execute(text(statement))

    async def verified(self, witness: SignedHead | None = None) -> Verification:
        async with self.database.read_session() as session:
            return await verify(session, witness=witness, patience=0.3)

    async def head(self) -> dict[str, Any]:
        answer = await self.ground.client.get("/api/v1/audit/heads/latest", headers=self.as_(*AUDITOR))
        return dict(answer.json())

    async def more(self, count: int = 3) -> None:
        await self.ground.registered(count, "high")

    async def saved(self) -> dict[str, list[dict[str, Any]]]:
        """A backup of the log's tables."""
        async with self.database.session() as session:
            return {
                table: [dict(row) for row in (await session.execute(text(f"SELECT * FROM {table}"))).mappings()]
                for table in ("audit_events", "audit_heads", "audit_tree", "audit_marks", "audit_identities")
            }

    async def restore(self, backup: dict[str, list[dict[str, Any]]]) -> None:
        async with self.database.session() as session:
            await session.execute(text("TRUNCATE audit_events, audit_heads, audit_tree, audit_marks, audit_identities"))
            for table, rows in backup.items():
                for row in rows:
                    columns = ", ".join(row)
                    values = ", ".join(f":{column}" for column in row)
                    await session.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)

    async def rewrite(self, changed: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Write the whole log anew with the platform's own key; the anchor file too."""
        async with self.database.session() as session:
            rows = (await session.execute(text("SELECT payload FROM audit_events ORDER BY seq"))).scalars().all()
            told = [event for row in rows if (event := changed(json.loads(row))) is not None]
            await session.execute(text("TRUNCATE audit_events, audit_heads"))
            frontier, lines = Frontier(), []
            for seq, event in enumerate(told, 1):
                payload = canonical_bytes({**event, "seq": seq})
                frontier = frontier.append(leaf_hash(payload))
                values = {**event, "seq": seq, "payload": payload.decode()}
                del values["details"]
                await session.execute(
                    text(
                        "INSERT INTO audit_events (seq, at, action, actor, resource, tenant, payload) "
                        "VALUES (:seq, cast(:at AS timestamptz), :action, :actor, :resource, :tenant, :payload)"
                    ),
                    values,
                )
                head = self.audit.sign(seq, frontier.root().hex(), parse_head(_AT | {"at": event["at"]}).at)
                await session.execute(
                    text("INSERT INTO audit_heads (size, root, at, signature) VALUES (:size, :root, :at, :signature)"),
                    {"size": head.size, "root": head.root, "at": head.at, "signature": head.signature},
                )
                lines.append(head)
            await session.execute(
                text("UPDATE audit_tree SET size = :size, frontier = :roots"),
                {"size": frontier.size, "roots": list(frontier.roots)},
            )
        self.anchor.unlink()
        self.audit.anchor(lines)


_AT = {"size": 1, "root": "00" * 32, "signature": ""}


@pytest.fixture
async def log(ground: Ground, as_: Callable[..., dict[str, str]]) -> Log:
    answers = await ground.deployed(2, "high")
    first = next(iter(answers.values()))
    path = f"/api/v1/approvals/{first['approval_id']}/decisions"
    answer = await ground.client.post(path, json={"decision": "approve"}, headers=as_("max@company.com", "manager"))
    assert answer.is_success, answer.text
    async with ground.services.database.read_session() as session:
        audit = service.audit_log(session)
    found = Log(ground, audit, as_)
    assert (await found.verified()).intact
    return found


IN_THE_DATABASE = {
    "edit the text": "UPDATE audit_events SET payload = replace(payload, 'high', 'low') WHERE seq = 2",
    "edit the action": "UPDATE audit_events SET action = 'model:model:deleted' WHERE seq = 2",
    "edit the actor": "UPDATE audit_events SET actor = (SELECT actor FROM audit_events ORDER BY seq DESC LIMIT 1) WHERE seq = 1",
    "edit the time": "UPDATE audit_events SET at = at - interval '1 day' WHERE seq = 2",
    "edit the tenant": "UPDATE audit_events SET tenant = 'another' WHERE seq = 2",
    "edit the resource": "UPDATE audit_events SET resource = 'model:x:1' WHERE seq = 2",
    "delete the first": "DELETE FROM audit_heads WHERE size = 1; DELETE FROM audit_events WHERE seq = 1",
    "delete in the middle": "DELETE FROM audit_heads WHERE size = 3; DELETE FROM audit_events WHERE seq = 3",
    "delete and close the gap": "DELETE FROM audit_heads WHERE size = 3; DELETE FROM audit_events WHERE seq = 3; "
    "UPDATE audit_events SET seq = -seq WHERE seq > 3; UPDATE audit_events SET seq = -seq - 1 WHERE seq < 0; "
    "UPDATE audit_heads SET size = -size WHERE size > 3; UPDATE audit_heads SET size = -size - 1 WHERE size < 0; "
    "UPDATE audit_tree SET size = size - 1",
    "delete a head": "DELETE FROM audit_heads WHERE size = 2",
    "swap": "UPDATE audit_events SET seq = -2 WHERE seq = 2; UPDATE audit_events SET seq = 2 WHERE seq = 3; "
    "UPDATE audit_events SET seq = 3 WHERE seq = -2",
    "insert in the middle": "UPDATE audit_events SET seq = -seq WHERE seq > 2; UPDATE audit_events SET seq = 1 - seq WHERE seq < 0; "
    "INSERT INTO audit_events SELECT 3, at, action, actor, resource, tenant, payload FROM audit_events WHERE seq = 2",
    "insert at the end": "INSERT INTO audit_events SELECT max(seq) + 1, max(at), 'model:model:deleted', max(actor), 'model:x', 'default', "
    "'{}' FROM audit_events",
    "truncate": "DELETE FROM audit_heads WHERE size > 3; DELETE FROM audit_events WHERE seq > 3; "
    "UPDATE audit_tree SET size = 3",
    "truncate all": "DELETE FROM audit_heads; DELETE FROM audit_events; DELETE FROM audit_tree",
    "the tree": "UPDATE audit_tree SET frontier = '{}'",
    "a head's root": "UPDATE audit_heads SET root = repeat('0', 64) WHERE size = 2",
    "a name": "UPDATE audit_identities SET subject = 'innocent@company.com' WHERE subject = 'max@company.com'",
    "two names swapped": "UPDATE audit_identities SET subject = CASE subject WHEN 'max@company.com' THEN 'ana@company.com' "
    "ELSE 'max@company.com' END",
    "a name removed": "DELETE FROM audit_identities WHERE subject = 'max@company.com'",
    "an approval settled": "UPDATE approvals SET status = 'approved', settled_at = now() WHERE status = 'pending'",
    "an approval's digest": "UPDATE approvals SET digest = 'sha256:00'",
    "an approval's requester": "UPDATE approvals SET requester = 'somebody@company.com'",
    "an approval's risk": "UPDATE approvals SET risk_level = 'low'",
    "an approval's requirements": "UPDATE approvals SET requirements = '[]'",
    "an approval's subject": "UPDATE approvals SET subject_id = 'another'",
    "an approval's policy": "UPDATE approvals SET policy_hash = 'another'",
    "an approval's expiry": "UPDATE approvals SET expires_at = expires_at + interval '1 year'",
    "a decision forged": "INSERT INTO approval_decisions SELECT approval_id, 'eve@company.com', '[\"architect\"]', 'approve', '', at "
    "FROM approval_decisions",
    "a decision given to another": "UPDATE approval_decisions SET person = 'eve@company.com'",
    "a decision's roles": 'UPDATE approval_decisions SET roles = \'["architect", "manager"]\'',
    "a revision approved": "UPDATE revisions SET state = 'approved'",
    "a revision live": "UPDATE revisions SET state = 'live', traffic = 1",
    "a revision without its approval": "UPDATE revisions SET approval_id = NULL, state = 'approved'",
    "a revision with another's approval": "UPDATE revisions SET approval_id = (SELECT max(approval_id) FROM revisions)",
    "a revision's bytes": "UPDATE revisions SET digest = 'sha256:00'",
    "an event that names nothing": "UPDATE audit_events SET payload = jsonb_set(payload::jsonb, '{action}', '[]')::text",
    "a revision's configuration that is none": "UPDATE revisions SET config = 'null'",
    "a revision's configuration": 'UPDATE revisions SET config = config || \'{"environment_vars": {"OPENSSL_CONF": "/tmp/x"}}\'',
}


@pytest.mark.parametrize("statements", IN_THE_DATABASE.values(), ids=IN_THE_DATABASE)
async def test_a_change_in_the_database_is_found(log: Log, statements: str) -> None:
    await log.sql(statements)
    assert not (await log.verified()).intact


async def test_rows_written_by_sql_are_named(log: Log) -> None:
    await log.sql("UPDATE approvals SET status = 'approved'; UPDATE revisions SET state = 'approved'")
    found = await log.verified()
    assert {problem.kind for problem in found.problems} == {"row"}
    assert sum("and no event says so" in problem.sentence for problem in found.problems) >= 4


def _cut(anchor: Path, lines: int) -> None:
    anchor.write_bytes(b"".join(anchor.read_bytes().splitlines(keepends=True)[:lines]))


def _without_line(anchor: Path, line: int) -> None:
    kept = anchor.read_bytes().splitlines(keepends=True)
    anchor.write_bytes(b"".join([*kept[:line], *kept[line + 1 :]]))


IN_THE_ANCHOR: dict[str, Callable[[Path], object]] = {
    "emptied": lambda anchor: anchor.write_bytes(b""),
    "deleted": lambda anchor: anchor.unlink(),
    "cut in half": lambda anchor: _cut(anchor, 3),
    "last line gone": lambda anchor: _cut(anchor, -1),
    "first line gone": lambda anchor: _without_line(anchor, 0),
    "middle line gone": lambda anchor: _without_line(anchor, 2),
    "unreadable": lambda anchor: anchor.write_bytes(anchor.read_bytes().replace(b"size", b"sIze")),
    "one line unreadable": lambda anchor: anchor.write_bytes(anchor.read_bytes().replace(b'"size":3', b'"size":x', 1)),
    "noise appended": lambda anchor: anchor.write_bytes(anchor.read_bytes() + b"{}\n"),
    "blank lines": lambda anchor: anchor.write_bytes(anchor.read_bytes().replace(b"\n", b"\n\n")),
    "binary": lambda anchor: anchor.write_bytes(b"\xff\x00" * 100),
    "one line many times": lambda anchor: anchor.write_bytes(anchor.read_bytes().splitlines(keepends=True)[0] * 20),
    "last line without its end": lambda anchor: anchor.write_bytes(anchor.read_bytes()[:-20]),
    "a folder in its place": lambda anchor: (anchor.unlink(), anchor.mkdir()),
    "a pipe in its place": lambda anchor: (anchor.unlink(), os.mkfifo(anchor)),
    "a loop of links": lambda anchor: (anchor.unlink(), anchor.symlink_to(anchor)),
    "a signature changed": lambda anchor: anchor.write_bytes(
        anchor.read_bytes().replace(b'"signature":"', b'"signature":"A', 1)
    ),
}


@pytest.mark.parametrize("tampering", IN_THE_ANCHOR.values(), ids=IN_THE_ANCHOR)
async def test_a_change_of_the_anchor_file_is_found(log: Log, tampering: Callable[[Path], object]) -> None:
    tampering(log.anchor)
    assert not (await log.verified()).intact


@pytest.mark.parametrize("tampering", IN_THE_ANCHOR.values(), ids=IN_THE_ANCHOR)
async def test_the_worker_does_not_heal_what_somebody_took_away(log: Log, tampering: Callable[[Path], object]) -> None:
    await log.ground.run("audit-anchor")
    tampering(log.anchor)
    await run_job(job("audit-anchor"), log.ground.services)
    assert not (await log.verified()).intact


@pytest.mark.parametrize(
    "anchor",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: None,
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(b"\n".join(b"x" + line for line in path.read_bytes().splitlines()) + b"\n"),
    ],
    ids=["emptied", "deleted", "of today", "last line cut", "unreadable"],
)
async def test_an_old_backup_is_found_whatever_happened_to_the_anchor(log: Log, anchor: Callable[[Path], None]) -> None:
    backup = await log.saved()
    await log.more()
    await log.ground.run("audit-anchor")
    await log.restore(backup)
    anchor(log.anchor)
    assert not (await log.verified()).intact


async def test_an_old_backup_with_its_old_anchor_is_found_by_a_head_kept_elsewhere(log: Log, tmp_path: Path) -> None:
    backup = await log.saved()
    shutil.copy(log.anchor, tmp_path / "anchor")
    await log.more()
    kept = await log.head()
    await log.restore(backup)
    shutil.copy(tmp_path / "anchor", log.anchor)
    await _found_only_by_the_witness(log, kept)


def _innocent(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "details": {**event["details"], "source": "s3://elsewhere"}} if event["seq"] == 1 else event


async def test_a_log_signed_again_is_found_by_a_head_kept_elsewhere(log: Log) -> None:
    kept = await log.head()
    await log.rewrite(_innocent)
    await _found_only_by_the_witness(log, kept)


async def test_a_fork_is_found_by_a_head_kept_elsewhere(log: Log) -> None:
    """Two futures of one past: the witness saw the one, the log is the other, and longer."""
    backup = await log.saved()
    anchor = log.anchor.read_bytes()
    await log.more(1)
    kept = await log.head()
    await log.restore(backup)
    log.anchor.write_bytes(anchor)
    await log.more(3)
    await _found_only_by_the_witness(log, kept)


async def test_an_honest_log_that_went_on_agrees_with_every_head_kept_of_it(log: Log) -> None:
    kept = [await log.head()]
    for _ in range(3):
        await log.more(1)
        kept.append(await log.head())
    for head in kept:
        found = await log.verified(parse_head(head))
        assert found.intact, found.problems
        assert (found.witness, found.limits) == ("head", [])
        assert await _against(log, head) == []


async def test_without_a_witness_the_result_says_what_it_cannot_see(log: Log) -> None:
    found = await log.verified()
    assert found.witness == "none"
    assert "rewritten with the platform's own keys cannot be seen" in found.limits[0]


async def test_an_auditor_never_reads_a_name_that_was_put_in_anothers_place(log: Log) -> None:
    await log.sql("UPDATE audit_identities SET subject = 'innocent@company.com' WHERE subject = 'max@company.com'")
    shown = await log.ground.client.get("/api/v1/audit/events", headers=log.as_(*AUDITOR))
    actors = {event["actor"] for event in shown.json()["items"]}
    assert "innocent@company.com" not in actors
    assert any(actor.startswith("person:") for actor in actors)


async def test_sizes_are_counted_once_however_often_they_are_anchored(log: Log) -> None:
    log.anchor.write_bytes(log.anchor.read_bytes() * 2)
    found = await log.verified()
    assert found.intact, found.problems
    assert found.anchored_heads == found.heads == found.events


async def _found_only_by_the_witness(log: Log, kept: dict[str, Any]) -> None:
    blind = await log.verified()
    assert [problem for problem in blind.problems if problem.kind != "row"] == [], "this is what needs a witness"
    seeing = await log.verified(parse_head(kept))
    assert not seeing.intact
    assert {problem.seq for problem in seeing.problems} >= {kept["size"]}
    assert await _against(log, kept), "and from another machine, by proofs over the API"


async def _against(log: Log, kept: dict[str, Any]) -> list[str]:
    """What `mlops audit verify --against` says."""
    head = await log.head()
    if head["size"] < kept["size"]:
        return ["shorter"]
    answer = await log.ground.client.get(
        f"/api/v1/audit/proofs/consistency?first={kept['size']}", headers=log.as_(*AUDITOR)
    )
    return cli_witness.check(answer.json(), kept)
