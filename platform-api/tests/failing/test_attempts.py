"""What fails is kept with its error, tried again later each time, shown to its owner, and ended where trying does not help."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.session import Database
from mlops_platform.errors import Conflict, Unavailable
from mlops_platform.failing.attempts import Attempt, Item, attempts, try_again
from mlops_platform.failing.jobs import JOBS
from mlops_platform.failing.policy import MOST_ATTEMPTS
from mlops_platform.failing.tables import FailingItemRow
from mlops_platform.kit.clock import now
from mlops_platform.telemetry import metrics
from tests.support.ground import Ground

As = Callable[..., dict[str, str]]
JOB = "test"


async def fail(database: Database, error: Exception, *, tenant: str | None = "default", ends: bool = False) -> Attempt:
    """Fail once at the one item of the job."""
    known = await attempts(database, JOB)
    async with known.attempt(Item("one", "item one", tenant, ends), through=None) as attempt:
        raise error
    return attempt


async def later(database: Database, by: timedelta) -> None:
    """Let time pass for what waits."""
    async with database.session() as session:
        await session.execute(update(FailingItemRow).values(next_try_at=FailingItemRow.next_try_at - by))


async def test_pauses_grow_and_a_success_ends_them(database: Database) -> None:
    pauses = [(await fail(database, Conflict("no"))).again_in for _ in range(4)]
    assert pauses == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8)]
    assert not (await attempts(database, JOB)).due("one")
    assert (await attempts(database, JOB)).due("another")
    await later(database, timedelta(seconds=9))
    known = await attempts(database, JOB)
    assert known.due("one")
    async with known.attempt(Item("one", "item one", None)):
        pass
    assert (await attempts(database, JOB)).items == frozenset()


async def test_what_ends_has_failed_after_its_last_attempt_and_says_why(database: Database) -> None:
    for _ in range(MOST_ATTEMPTS - 1):
        assert not (await fail(database, Conflict("The disk is odd"), ends=True)).gave_up
    last = await fail(database, Conflict("The disk is odd"), ends=True)
    assert last.gave_up
    assert last.sentence == f"The disk is odd. It failed {MOST_ATTEMPTS} times and is not tried again by itself."
    await later(database, timedelta(days=1))
    assert not (await attempts(database, JOB)).due("one")


async def test_what_is_unavailable_or_must_not_be_lost_is_tried_for_ever(database: Database) -> None:
    for _ in range(MOST_ATTEMPTS + 1):
        down = await fail(database, Unavailable("MLflow is away"), ends=True)
    assert not down.gave_up
    assert not (await fail(database, Conflict("no"), ends=False)).gave_up


async def test_what_is_down_for_all_ends_the_pass_and_counts_for_no_item(database: Database) -> None:
    known = await attempts(database, JOB)
    with pytest.raises(Unavailable):
        async with known.attempt(Item("one", "item one", None)):
            raise Unavailable("PostgreSQL is away")
    assert (await attempts(database, JOB)).items == frozenset()


async def test_two_workers_that_fail_at_one_item_count_both(database: Database) -> None:
    ended = await asyncio.gather(*(fail(database, Conflict("no")) for _ in range(5)))
    assert sorted(one.number for one in ended) == [1, 2, 3, 4, 5]


async def test_what_is_no_work_any_more_is_forgotten(database: Database) -> None:
    await fail(database, Conflict("no"))
    # a list that was read before the item was made says nothing of it
    assert not (await attempts(database, JOB, ["another"])).due("one")
    async with database.session() as session:
        await session.execute(update(FailingItemRow).values(failed_at=now() - timedelta(minutes=2)))
    assert (await attempts(database, JOB, ["another"])).due("one")
    assert (await attempts(database, JOB)).items == frozenset()


async def test_a_defect_says_nothing_of_what_it_held(database: Database) -> None:
    ended = await fail(database, ValueError("password=hunter2"))
    assert "hunter2" not in ended.sentence
    assert "the worker's log says why" in ended.sentence


async def test_only_who_may_see_it_sees_it_and_only_who_may_operate_it_retries(
    client: httpx.AsyncClient, services: BuiltServices, as_: As
) -> None:
    path = "/api/v1/failing-items"
    engineer = as_("eva@company.com", "ml-engineer")
    await fail(services.database, Conflict("no"))
    strangers = [as_("x@company.com", "ml-engineer", tenant="other"), as_("y@company.com", "ml-engineer", tenant="\0")]
    for stranger in strangers:
        assert (await client.get(path, headers=stranger)).json().get("items", []) == []
        refused = await client.post(f"{path}/retries", json={"job": JOB, "item": "one"}, headers=stranger)
        assert refused.status_code in {401, 404}
    viewer = as_("v@company.com", "viewer")
    assert [one["what"] for one in (await client.get(path, headers=viewer)).json()["items"]] == ["item one"]
    assert (await client.post(f"{path}/retries", json={"job": JOB, "item": "one"}, headers=viewer)).status_code == 403
    again = await client.post(f"{path}/retries", json={"job": JOB, "item": "one"}, headers=engineer)
    assert again.status_code == 200, again.text
    assert (await attempts(services.database, JOB)).due("one")
    missing = await client.post(f"{path}/retries", json={"job": JOB, "item": "two"}, headers=engineer)
    assert missing.status_code == 404
    assert "mlops jobs failing" in missing.json()["detail"]
    await fail(services.database, Conflict("no"), tenant=None)
    events = await client.get("/api/v1/audit/events?action=job:item:retried", headers=as_("aud@company.com", "auditor"))
    assert [event["details"]["item"] for event in events.json()["items"]] == ["one"]


async def test_what_is_the_platforms_own_is_seen_by_its_administrators(
    client: httpx.AsyncClient, services: BuiltServices, as_: As
) -> None:
    await fail(services.database, Conflict("no"), tenant=None)
    path = "/api/v1/failing-items"
    seen = await client.get(path, headers=as_("root@company.com", "platform-admin"))
    assert len(seen.json()["items"]) == 1
    assert (await client.get(path, headers=as_("ana@company.com", "ml-engineer"))).json()["items"] == []


async def test_a_build_that_breaks_off_again_and_again_fails_with_a_reason(ground: Ground) -> None:
    await ground.deployed(1)
    ground.spoil("signer", "verify", lambda _bundle: True)
    await ground.run("deployment-builds")
    assert (await ground.states())[ground.poisoned] == "approved"
    async with ground.services.database.session() as session:
        values = {"attempts": MOST_ATTEMPTS - 1, "next_try_at": now()}
        await session.execute(update(FailingItemRow).values(**values))
    await ground.run("deployment-builds")
    (shown,) = (await ground.ask("GET", "/deployments"))["items"]
    newest = (await ground.ask("GET", f"/deployments/{shown['id']}"))["revisions"][0]
    assert newest["state"] == "failed"
    assert f"It failed {MOST_ATTEMPTS} times" in str(newest)


async def test_a_gate_that_cannot_be_measured_is_answered_as_failed(ground: Ground) -> None:
    await ground.registered(1)
    name = ground.names[0]
    await ground.ask("POST", f"/models/{name}/versions/1/gates", {"gate": "validate"})
    ground.spoil("registry", "download", lambda *_: True)
    await ground.run("gate-measurements")
    async with ground.services.database.session() as session:
        values = {"attempts": MOST_ATTEMPTS - 1, "next_try_at": now()}
        await session.execute(update(FailingItemRow).values(**values))
    await ground.run("gate-measurements")
    gate = await ground.ask("GET", f"/models/{name}/versions/1/gates/validate")
    assert gate["state"] == "done"
    assert gate["result"]["status"] == "failed"
    assert "could not be measured" in gate["result"]["sentence"]


async def test_what_failed_for_good_is_shown_to_prometheus_until_it_is_tried_again(services: BuiltServices) -> None:
    shown, counted = metrics.worker_items_failed_for_good.labels(JOB), metrics.worker_items_given_up_total.labels(JOB)
    before = counted._value.get()
    [job] = JOBS
    for _ in range(MOST_ATTEMPTS):
        await fail(services.database, Conflict("The disk is odd"), ends=True)
        await job.run(services)
    assert (shown._value.get(), counted._value.get() - before) == (1, 1)
    async with services.database.session() as session:
        row = await session.get_one(FailingItemRow, {"job": JOB, "item": "one"})
        await try_again(session, row)
    await job.run(services)
    assert shown._value.get() == 0
