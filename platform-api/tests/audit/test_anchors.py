"""The anchor file after honest failures: a kill, a power failure, a full disk, two writers. None is taken for tampering."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from mlops_platform.audit import anchoring, jobs, service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.anchors import AnchorFile, TornAnchor, head_line
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.schemas import SystemActor, Verification
from mlops_platform.audit.signing import AuditLog
from mlops_platform.audit.verify import verify
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.session import Database
from mlops_platform.worker import run_job

(ANCHOR,) = (job for job in jobs.JOBS if job.name == "audit-anchor")


async def write(database: Database, count: int = 1) -> None:
    for number in range(count):
        async with database.session() as session:
            await service.record(
                session,
                action=Action.MODEL_VERSION_REGISTERED,
                actor=SystemActor("test"),
                resource=f"model:x:{number}",
                tenant="default",
                details={},
            )


async def killed_before_anchoring(services: BuiltServices, count: int = 1) -> None:
    """Commit events as a process does that dies between the commit and the append."""
    url, log = services.settings.database_url.get_secret_value(), await log_of(services)
    database = Database(url, 1, {"audit_log": log}, before_commit=service.append)
    await write(database, count)
    await database.dispose()


async def log_of(services: BuiltServices) -> AuditLog:
    async with services.database.read_session() as session:
        return service.audit_log(session)


async def found(services: BuiltServices, patience: float = 0.0) -> Verification:
    async with services.database.read_session() as session:
        return await verify(session, patience=patience)


async def anchored(services: BuiltServices) -> None:
    assert await run_job(ANCHOR, services) == "ok"


async def test_a_writer_that_died_before_anchoring_is_healed(services: BuiltServices) -> None:
    await write(services.database, 3)
    await anchored(services)
    await killed_before_anchoring(services, 2)
    before = await found(services)
    assert [problem.kind for problem in before.problems] == ["unanchored"]
    assert "verify again" in before.problems[0].sentence
    await anchored(services)
    after = await found(services)
    assert after.intact, after.problems
    assert after.anchored_heads == 5


async def test_a_hole_of_a_writer_that_died_is_healed_when_others_went_on(services: BuiltServices) -> None:
    await write(services.database, 2)
    await killed_before_anchoring(services)
    await write(services.database, 2)
    await anchored(services)
    result = await found(services)
    assert result.intact, result.problems


async def test_verification_waits_for_a_head_that_is_on_its_way(services: BuiltServices) -> None:
    await write(services.database, 2)
    await killed_before_anchoring(services)
    audit = await log_of(services)
    late = threading.Timer(0.6, lambda: audit.anchor([head]))
    async with services.database.read_session() as session:
        row = (await session.execute(text("SELECT size, root, at, signature FROM audit_heads WHERE size = 3"))).one()
    head = SignedHead(row.size, row.root, row.at, row.signature)
    late.start()
    result = await found(services, patience=8)
    late.join()
    assert result.intact, result.problems


@pytest.mark.parametrize("rest", [b"", b"\0" * 40], ids=["killed", "power failed"])
@pytest.mark.parametrize("left", [1, 30, 200])
async def test_a_line_cut_off_by_a_crash_is_completed(services: BuiltServices, left: int, rest: bytes) -> None:
    await write(services.database, 3)
    await anchored(services)
    await write(services.database, 2)
    audit = await log_of(services)
    *whole, last = audit.anchor_file.read_bytes().splitlines(keepends=True)
    audit.anchor_file.write_bytes(b"".join(whole) + last[:left] + rest)
    # nothing is appended behind half a line, and the event is recorded all the same
    await write(services.database)
    await anchored(services)
    result = await found(services)
    assert result.intact, result.problems
    assert result.anchored_heads == 6


async def test_half_a_line_that_no_crash_left_stays_a_finding(services: BuiltServices) -> None:
    await write(services.database, 3)
    audit = await log_of(services)
    with audit.anchor_file.open("ab") as stream:
        stream.write(b"rubbish")
    await run_job(ANCHOR, services)
    assert "anchor" in {problem.kind for problem in (await found(services)).problems}


def _heads(first: int, last: int) -> list[SignedHead]:
    return [SignedHead(size, "00" * 32, datetime(2026, 1, 1, tzinfo=UTC), "x") for size in range(first, last + 1)]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = AnchorFile(tmp_path / "heads.jsonl")
    file.append(_heads(1, 2))
    before = file.path.read_bytes()
    whole = os.write

    def half(descriptor: int, content: bytes) -> int:
        if len(content) < 50:
            raise OSError(28, "No space left on device")
        return whole(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        file.append(_heads(3, 5))
    assert file.path.read_bytes() == before


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: whole(descriptor, content[:7]))
    file = AnchorFile(tmp_path / "heads.jsonl")
    file.append(_heads(1, 3))
    assert file.path.read_bytes() == b"".join(map(head_line, _heads(1, 3)))


def test_many_writers_and_readers_see_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    seen: list[bool] = []

    def append(first: int) -> None:
        for size in range(first, first + 40):
            AnchorFile(path).append(_heads(size, size))
            read = AnchorFile(path).read()
            seen.append(not read.unreadable and not read.torn)

    writers = [threading.Thread(target=append, args=(1 + 100 * number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert all(seen)
    assert len(AnchorFile(path).read().sizes) == 160


def test_nothing_is_appended_behind_half_a_line(tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "heads.jsonl")
    file.append(_heads(1, 1))
    file.path.write_bytes(file.path.read_bytes()[:-5])
    with pytest.raises(TornAnchor):
        file.append(_heads(2, 2))


@pytest.mark.parametrize(
    "loss", [lambda path: path.unlink(), lambda path: path.write_bytes(b"junk\n")], ids=["lost", "damaged"]
)
async def test_an_administrator_renews_a_lost_file_and_the_log_says_so(
    services: BuiltServices, loss: Callable[[Path], None]
) -> None:
    await write(services.database, 3)
    await anchored(services)
    loss((await log_of(services)).anchor_file)
    await anchored(services)
    assert not (await found(services)).intact, "never by itself"
    async with services.database.session() as session:
        assert await anchoring.renew(session, "the volume was lost on 26 November") == 3
    result = await found(services)
    assert result.intact, result.problems
    async with services.database.read_session() as session:
        (event,) = (await service.events(session, action=Action.AUDIT_ANCHORS_RENEWED.value)).items
    assert event.details["reason"] == "the volume was lost on 26 November"
