"""The log finds whatever somebody with database rights did to it."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import InternalError

from mlops_platform.audit import anchoring, service
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor, Verification
from mlops_platform.audit.verify import verify
from mlops_platform.database.session import Database
from mlops_platform.identity.principal import Principal


async def _write(database: Database, count: int, actor: Principal | SystemActor) -> None:
    for number in range(count):
        async with database.session() as session:
            await service.record(
                session,
                action=Action.MODEL_VERSION_REGISTERED,
                actor=actor,
                resource=f"model:churn:{number}",
                tenant="default",
                details={"number": number, "share": 0.1 * number},
            )


async def _verify(database: Database) -> Verification:
    async with database.read_session() as session:
        return await verify(session)


@pytest.fixture
async def log_of_nine(database: Database, principal: Callable[..., Principal]) -> Database:
    await _write(database, 9, principal("ana@company.com", "data-scientist"))
    return database


async def test_a_read_session_cannot_write(log_of_nine: Database) -> None:
    with pytest.raises(InternalError, match="read-only transaction"):
        async with log_of_nine.read_session() as session:
            await session.execute(text("DELETE FROM audit_events"))


async def test_a_transaction_that_goes_on_after_its_event_makes_nobody_wait(log_of_nine: Database) -> None:
    """The lock on the order of all events is held for the commit alone; before, the second writer waited for the first."""
    actor = SystemActor("test")
    async with log_of_nine.session() as slow:
        for name in ("model:slow:1", "model:slow:2"):
            action = Action.MODEL_VERSION_REGISTERED
            await service.record(slow, action=action, actor=actor, resource=name, tenant="default", details={})
        async with asyncio.timeout(5):
            await _write(log_of_nine, 1, actor)
    async with log_of_nine.read_session() as session:
        newest = (await service.events(session, limit=3)).items
    assert [event.resource for event in newest] == ["model:slow:2", "model:slow:1", "model:churn:0"]
    assert (await _verify(log_of_nine)).intact


async def test_a_transaction_that_fails_leaves_no_event(log_of_nine: Database) -> None:
    async def fails_after_recording() -> None:
        async with log_of_nine.session() as session:
            action, actor = Action.MODEL_VERSION_REGISTERED, SystemActor("test")
            await service.record(session, action=action, actor=actor, resource="model:x", tenant="default", details={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails_after_recording()
    assert (await _verify(log_of_nine)).events == 9


async def test_an_untouched_log_is_intact(log_of_nine: Database) -> None:
    result = await _verify(log_of_nine)
    assert result.intact, result.problems
    assert (result.events, result.heads, result.anchored_heads) == (9, 9, 9)


@pytest.mark.parametrize(
    ("tampering", "kind"),
    [
        ("UPDATE audit_events SET payload = replace(payload, 'churn:4', 'fraud:4') WHERE seq = 5", "root"),
        ("UPDATE audit_events SET action = 'model:version:deleted' WHERE seq = 5", "edited"),
        ("DELETE FROM audit_heads WHERE size = 4; DELETE FROM audit_events WHERE seq = 4", "gap"),
        (
            "DELETE FROM audit_heads WHERE size > 6; DELETE FROM audit_events WHERE seq > 6; UPDATE audit_tree SET size = 6",
            "truncated",
        ),
        ("DELETE FROM audit_heads; DELETE FROM audit_events; DELETE FROM audit_tree", "truncated"),
        (
            "UPDATE audit_events SET payload = (SELECT payload FROM audit_events WHERE seq = 3) WHERE seq = 2",
            "root",
        ),
        ("UPDATE audit_heads SET root = repeat('0', 64) WHERE size = 9", "signature"),
        ("UPDATE audit_tree SET frontier = '{}'", "root"),
    ],
    ids=[
        "edited text",
        "edited column",
        "deleted event",
        "cut end",
        "emptied",
        "reordered",
        "forged head",
        "forged tree",
    ],
)
async def test_tampering_in_the_database_is_found(log_of_nine: Database, tampering: str, kind: str) -> None:
    async with log_of_nine.session() as session:
        for statement in tampering.split("; "):
            await session.execute(text(statement))
    result = await _verify(log_of_nine)
    assert not result.intact
    assert kind in {problem.kind for problem in result.problems}


async def test_an_event_of_a_rolled_back_change_is_gone_and_not_anchored(log_of_nine: Database) -> None:
    class ChangedMyMind(Exception): ...

    async def change_and_fail() -> None:
        async with log_of_nine.session() as session:
            await service.record(
                session,
                action=Action.MODEL_VERSION_REGISTERED,
                actor=SystemActor("worker"),
                resource="model:x:1",
                tenant="default",
                details={},
            )
            raise ChangedMyMind

    with pytest.raises(ChangedMyMind):
        await change_and_fail()
    result = await _verify(log_of_nine)
    assert result.intact
    assert result.anchored_heads == 9


async def test_an_erased_person_is_a_recorded_state(log_of_nine: Database, principal: Callable[..., Principal]) -> None:
    officer = principal("dpo@company.com", "platform-admin")
    async with log_of_nine.session() as session:
        assert await service.erase_identity(session, actor=officer, subject="ana@company.com", tenant="default")
        assert not await service.erase_identity(session, actor=officer, subject="nobody@company.com", tenant="default")
    found = await _verify(log_of_nine)
    assert found.intact, found.problems
    async with log_of_nine.read_session() as session:
        page = await service.events(session)
    assert {event.actor for event in page.items if event.seq <= 9} == {page.items[-1].actor}
    assert page.items[-1].actor.startswith("person:")
    # who acts again is known again, and may be erased again
    await _write(log_of_nine, 1, principal("ana@company.com", "data-scientist"))
    assert (await _verify(log_of_nine)).intact


async def test_a_name_removed_by_hand_is_a_finding_until_its_erasure_is_recorded(
    log_of_nine: Database, principal: Callable[..., Principal]
) -> None:
    async with log_of_nine.session() as session:
        await session.execute(text("DELETE FROM audit_identities"))
    assert [problem.kind for problem in (await _verify(log_of_nine)).problems] == ["identity"]
    officer = principal("dpo@company.com", "platform-admin")
    async with log_of_nine.session() as session:
        assert await service.erase_identity(session, actor=officer, subject="ana@company.com", tenant="default")
    assert (await _verify(log_of_nine)).intact


async def test_who_erases_their_own_name_is_erased(log_of_nine: Database, principal: Callable[..., Principal]) -> None:
    ana = principal("ana@company.com", "platform-admin")
    async with log_of_nine.session() as session:
        assert await service.erase_identity(session, actor=ana, subject=ana.subject, tenant="default")
    found = await _verify(log_of_nine)
    assert found.intact, found.problems


async def test_heads_missing_from_the_anchor_are_written_later(log_of_nine: Database) -> None:
    async with log_of_nine.read_session() as session:
        audit = service.audit_log(session)
        kept = audit.anchor_file.read_bytes().splitlines(keepends=True)[:4]
        audit.anchor_file.write_bytes(b"".join(kept))
        assert await anchoring.anchor_missing(session) == 5
        assert await anchoring.anchor_missing(session) == 0
    assert (await _verify(log_of_nine)).anchored_heads == 9


async def test_auditors_page_through_events_and_others_may_not(
    log_of_nine: Database, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    auditor = as_("aud@company.com", "auditor")
    first = (await client.get("/api/v1/audit/events?limit=5", headers=auditor)).json()
    second = (await client.get(f"/api/v1/audit/events?limit=5&cursor={first['next_cursor']}", headers=auditor)).json()
    assert [event["seq"] for event in first["items"] + second["items"]] == list(range(9, 0, -1))
    assert second["next_cursor"] is None
    assert (await client.get("/api/v1/audit/verify", headers=auditor)).json()["intact"] is True
    assert (await client.get("/api/v1/audit/verifications/latest", headers=auditor)).json()["events"] == 9
    assert (await client.get("/api/v1/audit/heads/latest", headers=auditor)).json()["size"] == 9
    refused = await client.get("/api/v1/audit/events", headers=as_("ana@company.com", "data-scientist"))
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
