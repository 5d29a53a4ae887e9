"""With a mirror, whoever owns the database, the anchor file and the signing key is found too; without it, not."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from botocore.exceptions import EndpointConnectionError
from sqlalchemy import delete, select, text

from mlops_platform import bootstrap
from mlops_platform.audit import jobs, mirroring, service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.interfaces import MirrorConflict
from mlops_platform.audit.merkle import build, leaf_hash
from mlops_platform.audit.recovery import recover
from mlops_platform.audit.schemas import SystemActor, Verification
from mlops_platform.audit.signing import AuditLog
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow, AuditTreeRow
from mlops_platform.audit.verify import verify
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.session import Database
from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.settings import Settings
from mlops_platform.telemetry import metrics
from mlops_platform.worker import run_job
from tests.conftest import client_for
from tests.emulated_mirror import Faulty, client, create
from tests.support.verifying import InProcess
from tests.support.waiting import eventually_async

JOB = next(job for job in jobs.JOBS if job.name == "audit-mirror")
DOWN = EndpointConnectionError(endpoint_url="https://dynamodb")


@pytest.fixture
def place(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a table and a bucket of this test."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws)
    monkeypatch.setattr(mirroring, "_EVENTS_PER_BATCH", 4)
    name = f"audit-{abs(hash(tmp_path))}"
    create(aws, name)
    return name


@pytest.fixture
def settings(settings: Settings, place: str, aws: str) -> Settings:
    mirror = {"audit_mirror_table": place, "audit_mirror_bucket": place, "s3_endpoint_url": aws}
    return settings.model_copy(update=mirror)


@pytest.fixture
async def without_mirror(settings: Settings, services: BuiltServices) -> AsyncIterator[Database]:
    database = bootstrap.build_database(settings.model_copy(update={"audit_mirror_table": None}))
    yield database
    await database.dispose()


@pytest.fixture
async def faulty(services: BuiltServices, place: str, aws: str) -> Faulty:
    """The platform's mirror, with a connection that can fail."""
    mirror = Faulty(place, aws)
    (await log_of(services.database)).mirror = mirror
    return mirror


async def write(database: Database, count: int) -> None:
    for number in range(count):
        async with database.session() as session:
            await service.record(
                session,
                action=Action.MODEL_VERSION_REGISTERED,
                actor=SystemActor("test"),
                resource=f"model:churn:{number}",
                tenant=("default", "risk")[number % 2],
                details={"number": number},
            )


async def checked(database: Database) -> Verification:
    async with database.read_session() as session:
        return await verify(session)


async def log_of(database: Database) -> AuditLog:
    async with database.read_session() as session:
        return service.audit_log(session)


async def payloads(database: Database) -> list[str]:
    async with database.read_session() as session:
        return list((await session.execute(select(AuditEventRow.payload).order_by(AuditEventRow.seq))).scalars())


async def mirrored(services: BuiltServices, events: int) -> None:
    """Write events and mirror them all."""
    await write(services.database, events)
    assert await run_job(JOB, services) == "ok"


def sample(name: str) -> float:
    collected = next(iter(getattr(metrics, name).collect())).samples
    return float(next(each.value for each in collected if each.name == name))


@pytest.fixture
async def log_of_ten(services: BuiltServices) -> BuiltServices:
    await mirrored(services, 10)
    return services


async def test_the_job_mirrors_everything_in_batches_and_says_so(log_of_ten: BuiltServices) -> None:
    found = await checked(log_of_ten.database)
    assert found.intact, found.problems
    assert (found.mirror, found.mirrored_heads, found.mirrored_events) == ("compared", 3, 10)
    assert sample("audit_mirror_events") == 10
    assert sample("audit_log_events") == 10
    await mirrored(log_of_ten, 1)
    assert (await checked(log_of_ten.database)).mirrored_events == 11


async def test_a_pass_without_news_writes_nothing(log_of_ten: BuiltServices, faulty: Faulty) -> None:
    assert await run_job(JOB, log_of_ten) == "ok"
    assert faulty.calls == 1, "one look at the newest head"


async def test_without_a_mirror_the_answer_says_so(without_mirror: Database) -> None:
    await write(without_mirror, 2)
    found = await checked(without_mirror)
    assert found.intact
    assert (found.mirror, found.mirrored_heads, found.mirrored_events) == ("none", 0, 0)


# --- attacks


def edited(rows: list[dict[str, Any]]) -> None:
    rows[4]["details"] = {"number": "another"}


def moved_to_another_tenant(rows: list[dict[str, Any]]) -> None:
    rows[4]["tenant"] = "risk"


def deleted(rows: list[dict[str, Any]]) -> None:
    del rows[4]


def reordered(rows: list[dict[str, Any]]) -> None:
    rows[4], rows[5] = rows[5], rows[4]


def inserted(rows: list[dict[str, Any]]) -> None:
    rows.insert(4, rows[4] | {"resource": "model:fraud:1"})


def cut_at_the_end(rows: list[dict[str, Any]]) -> None:
    del rows[7:]


def cut_at_a_sealed_size(rows: list[dict[str, Any]]) -> None:
    del rows[8:]


def emptied(rows: list[dict[str, Any]]) -> None:
    rows.clear()


async def forge(database: Database, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite the log as somebody can who has the database, the key and the anchor file: nothing of it contradicts itself."""
    audit = await log_of(database)
    told = [orjson.loads(payload) for payload in await payloads(database)]
    change(told)
    async with database.session() as session:
        for table in (AuditHeadRow, AuditEventRow, AuditTreeRow):
            await session.execute(delete(table))
        heads, leaves = [], []
        for seq, row in enumerate(told, 1):
            payload = canonical_bytes(row | {"seq": seq})
            at = datetime.fromisoformat(row["at"])
            named = {name: row[name] for name in ("action", "actor", "resource", "tenant")}
            session.add(AuditEventRow(seq=seq, at=at, payload=payload.decode(), **named))
            leaves.append(leaf_hash(payload))
            heads.append(audit.sign(seq, build(leaves).root().hex(), at))
        await session.flush()
        session.add_all(
            AuditHeadRow(size=head.size, root=head.root, at=head.at, signature=head.signature) for head in heads
        )
        session.add(AuditTreeRow(id=1, size=len(told), frontier=list(build(leaves).roots)))
    audit.anchor_file.unlink()
    audit.anchor(heads)


ATTACKS = [
    edited,
    moved_to_another_tenant,
    deleted,
    reordered,
    inserted,
    cut_at_the_end,
    cut_at_a_sealed_size,
    emptied,
]


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_log_rewritten_with_anchor_and_stolen_key_is_found_by_the_mirror_only(
    log_of_ten: BuiltServices, without_mirror: Database, attack: Callable[[list[dict[str, Any]]], None]
) -> None:
    await forge(log_of_ten.database, attack)
    assert (await checked(without_mirror)).intact, (
        "the forgery is perfect for whoever looks at the database and the anchor"
    )
    found = await checked(log_of_ten.database)
    assert not found.intact
    assert {problem.kind for problem in found.problems} & {"root", "truncated"}, "its locked heads say so"


async def test_the_event_that_was_rewritten_is_named(log_of_ten: BuiltServices) -> None:
    await forge(log_of_ten.database, edited)
    sentences = [problem.sentence for problem in (await checked(log_of_ten.database)).problems]
    assert "event 5 differs from its copy in the mirror" in sentences
    assert "the log up to event 8 does not match the mirror's head signed then" in sentences


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_rewritten_log_is_not_copied_over_what_the_mirror_holds(
    log_of_ten: BuiltServices, attack: Callable[[list[dict[str, Any]]], None]
) -> None:
    log = await log_of(log_of_ten.database)
    assert log.mirror is not None
    before = log.mirror.sealed_after(0)
    conflicts = sample("audit_mirror_conflicts_total")
    await forge(log_of_ten.database, attack)
    await write(log_of_ten.database, 4)
    assert await run_job(JOB, log_of_ten) == "failed"
    assert sample("audit_mirror_conflicts_total") == conflicts + 1
    assert log.mirror.sealed_after(0) == before
    assert len(log.mirror.seals()) == 3


async def test_a_copy_that_somebody_changed_or_removed_is_found(
    log_of_ten: BuiltServices, aws: str, place: str
) -> None:
    table = client(aws, "dynamodb")
    key = {"tenant": {"S": "default"}, "sequence": {"N": "3"}}
    table.put_item(TableName=place, Item=key | {"resource": {"S": "x"}, "payload": {"S": "{}"}})
    table.delete_item(TableName=place, Key={"tenant": {"S": "risk"}, "sequence": {"N": "4"}})
    found = await checked(log_of_ten.database)
    assert [(problem.kind, problem.sentence) for problem in found.problems] == [
        ("mirror", "event 3 differs from its copy in the mirror"),
        ("mirror", "event 4 is missing in the mirror"),
    ]


async def test_a_head_that_somebody_else_locked_is_found(log_of_ten: BuiltServices, aws: str, place: str) -> None:
    client(aws, "s3").put_object(
        Bucket=place, Key=f"heads/{8:020d}-{'0' * 64}.json", Body=b"{}", ChecksumAlgorithm="SHA256"
    )
    found = await checked(log_of_ten.database)
    assert [(problem.kind, problem.seq) for problem in found.problems] == [("root", 8)]


# --- cut off, away, slow


async def test_killed_again_and_again_the_job_goes_on_without_loss_or_repetition(
    services: BuiltServices, aws: str, place: str
) -> None:
    class Killed(Exception): ...

    await write(services.database, 10)
    cuts = 0
    for cut in range(2, 40):
        # each life of the worker gets one call further than the one before and remembers nothing of it
        life = Faulty(place, aws)
        life.error, life.fails_before = Killed(), cut
        (await log_of(services.database)).mirror = life
        if await run_job(JOB, services) == "ok":
            break
        cuts += 1
    assert cuts >= 5
    found = await checked(services.database)
    assert found.intact, found.problems
    assert (found.mirrored_heads, found.mirrored_events) == (3, 10)
    items = client(aws, "dynamodb").scan(TableName=place)["Items"]
    assert sorted(int(item["sequence"]["N"]) for item in items) == list(range(1, 11))


async def test_a_worker_killed_between_two_batches_loses_and_repeats_nothing(
    services: BuiltServices, settings: Settings, aws: str, place: str
) -> None:
    await write(services.database, 60)
    # this process's own batches are larger: other sizes after the kill do no harm
    program = (
        "import asyncio\nfrom mlops_platform import bootstrap\nfrom mlops_platform.audit import mirroring\n"
        "from mlops_platform.settings import Settings\nsettings = Settings()\nmirroring._EVENTS_PER_BATCH = 1\n"
        "asyncio.run(mirroring.copy_missing(bootstrap.build_database(settings), bootstrap.build_audit_mirror(settings), 1000))"
    )
    environment = os.environ | {
        "MLOPS_DATABASE_URL": settings.database_url.get_secret_value(),
        "MLOPS_HOME": str(settings.home),
        "MLOPS_AUDIT_MIRROR_TABLE": place,
        "MLOPS_AUDIT_MIRROR_BUCKET": place,
        "MLOPS_S3_ENDPOINT_URL": aws,
    }
    mirror = (await log_of(services.database)).mirror
    assert mirror is not None
    worker = subprocess.Popen([sys.executable, "-c", program], env=environment)

    async def halfway() -> bool:
        assert worker.poll() is None, "it was to be killed in the middle"
        return len(await asyncio.to_thread(mirror.seals)) >= 5

    await eventually_async(halfway)
    worker.kill()
    worker.wait(10)
    assert len(await asyncio.to_thread(mirror.seals)) < 60
    assert await run_job(JOB, services) == "ok"
    found = await checked(services.database)
    assert found.intact, found.problems
    assert found.mirrored_events == 60
    items = client(aws, "dynamodb").scan(TableName=place)["Items"]
    assert sorted(int(item["sequence"]["N"]) for item in items) == list(range(1, 61))


async def test_an_absent_mirror_stops_nothing_and_catches_up(
    log_of_ten: BuiltServices, faulty: Faulty, as_: Callable[..., dict[str, str]]
) -> None:
    complete = sample("audit_mirror_complete_timestamp_seconds")
    faulty.error = DOWN
    await write(log_of_ten.database, 5)
    assert await run_job(JOB, log_of_ten) == "failed"
    assert sample("audit_mirror_events") == 10
    assert sample("audit_mirror_complete_timestamp_seconds") == complete, "the lag grows"
    async with client_for(log_of_ten, audit_verifier=InProcess(log_of_ten.database)) as client:
        answer = (await client.get("/api/v1/audit/verify", headers=as_("aud@company.com", "auditor"))).json()
    assert (answer["intact"], answer["events"], answer["mirror"]) == (True, 15, "unreachable")
    faulty.error = None
    assert await run_job(JOB, log_of_ten) == "ok"
    assert sample("audit_mirror_complete_timestamp_seconds") > complete
    assert (await checked(log_of_ten.database)).mirrored_events == 15


async def test_a_mirror_that_goes_away_during_the_comparison_is_not_called_compared(
    log_of_ten: BuiltServices, faulty: Faulty
) -> None:
    faulty.error, faulty.fails_before = DOWN, 2
    found = await checked(log_of_ten.database)
    assert (found.intact, found.mirror) == (True, "unreachable")


async def test_events_are_recorded_while_the_mirror_hangs(
    services: BuiltServices, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(services.database, 2)
    entered, go_on = threading.Event(), threading.Event()
    keep = faulty.keep

    def hang(*arguments: Any) -> None:
        entered.set()
        assert go_on.wait(30)
        keep(*arguments)

    monkeypatch.setattr(faulty, "keep", hang)
    passing = asyncio.create_task(run_job(JOB, services))
    assert await asyncio.to_thread(entered.wait, 10)
    await asyncio.wait_for(write(services.database, 3), 5)
    go_on.set()
    assert await passing == "ok"
    assert (await checked(services.database)).mirrored_events == 5


async def test_an_event_deleted_before_it_was_mirrored_stops_the_mirror(log_of_ten: BuiltServices) -> None:
    await write(log_of_ten.database, 3)
    async with log_of_ten.database.session() as session:
        await session.execute(text("DELETE FROM audit_heads WHERE size = 12"))
        await session.execute(text("DELETE FROM audit_events WHERE seq = 12"))
    with pytest.raises(MirrorConflict, match="between 11 and 13"):
        await JOB.run(log_of_ten)


# --- a database restored from a backup


async def restore_to(database: Database, size: int) -> None:
    """Put the database back to when it had this many events."""
    leaves = [leaf_hash(payload.encode()) for payload in (await payloads(database))[:size]]
    async with database.session() as session:
        await session.execute(delete(AuditHeadRow).where(AuditHeadRow.size > size))
        await session.execute(delete(AuditEventRow).where(AuditEventRow.seq > size))
        (await service.locked_tree(session)).size = size
        (await service.locked_tree(session)).frontier = list(build(leaves).roots)


async def heads(database: Database, upto: int) -> list[tuple[Any, ...]]:
    query = select(AuditHeadRow.size, AuditHeadRow.root, AuditHeadRow.at, AuditHeadRow.signature)
    async with database.read_session() as session:
        return [
            tuple(row)
            for row in await session.execute(query.where(AuditHeadRow.size <= upto).order_by(AuditHeadRow.size))
        ]


@pytest.mark.parametrize("size", [0, 5, 8])
async def test_what_a_restored_database_lost_comes_back_bit_by_bit(log_of_ten: BuiltServices, size: int) -> None:
    database = log_of_ten.database
    before = await payloads(database), await heads(database, 10)
    await restore_to(database, size)
    lost = await checked(database)
    assert not lost.intact
    assert "a signed head says that event 10 existed; it is missing" in [problem.sentence for problem in lost.problems]
    async with database.session() as session:
        mirror = service.audit_log(session).mirror
        assert mirror is not None
        assert await recover(session, mirror) == 10 - size
    assert ((await payloads(database))[:10], await heads(database, 10)) == before
    assert await run_job(JOB, log_of_ten) == "ok"
    found = await checked(database)
    assert found.intact, found.problems
    assert (found.events, found.mirrored_events) == (11, 11), "that it was recovered is on record too"


async def test_after_something_new_was_recorded_nothing_is_brought_back(log_of_ten: BuiltServices) -> None:
    database = log_of_ten.database
    await restore_to(database, 6)
    await write(database, 1)
    before = await payloads(database)

    async def try_it() -> None:
        async with database.session() as session:
            mirror = service.audit_log(session).mirror
            assert mirror is not None
            await recover(session, mirror)

    with pytest.raises(MirrorConflict, match="nothing was brought back"):
        await try_it()
    assert await payloads(database) == before


async def test_a_whole_log_has_nothing_to_recover(log_of_ten: BuiltServices) -> None:
    async with log_of_ten.database.session() as session:
        mirror = service.audit_log(session).mirror
        assert mirror is not None
        assert await recover(session, mirror) == 0
    assert len(await payloads(log_of_ten.database)) == 10
