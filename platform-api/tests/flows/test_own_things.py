"""What a scientist requested is the scientist's to take back, to stop and to delete, before production."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import select, text

from mlops_platform.approvals.jobs import expire_overdue
from mlops_platform.database.session import Database
from mlops_platform.notifications.tables import NoticeRow
from mlops_platform.predictions.standing import of

from .conftest import Road


def scientist(road: Road, email: str = "ana@company.com") -> dict[str, str]:
    return road.as_(email, "data-scientist")


async def test_a_waiting_request_blocks_nobody_and_its_requester_withdraws_it(
    live_model: tuple[Road, str, str], log_model: Callable[..., str]
) -> None:
    road, name, deployment_id = live_model
    for _ in range(2):
        log_model(name=name)
    second = (await road.deploy(name, "2")).json()
    third = await road.deploy(name, "3", who=scientist(road, "ben@company.com"))
    assert third.json()["status"] == "pending_approval", "a request that waits for people blocks no other"
    path = f"/api/v1/approvals/{second['approval_id']}/withdraw"
    other = await road.client.post(path, json={}, headers=scientist(road, "ben@company.com"))
    assert (other.status_code, other.json()["type"]) == (403, "/problems/not-the-requester")
    taken = await road.ask("POST", path, scientist(road), json={"reason": "a better one is coming"})
    assert (taken["status"], taken["reason"]) == ("withdrawn", "a better one is coming")
    again = await road.client.post(path, json={}, headers=scientist(road))
    assert (again.status_code, again.json()["type"]) == (409, "/problems/approval-settled")
    late = await road.decide(second["approval_id"], "max@company.com", "manager")
    assert late.status_code == 409
    shown = await road.ask("GET", f"/api/v1/deployments/{deployment_id}", scientist(road))
    assert {row["version"]: row["state"] for row in shown["revisions"]} == {
        1: "live",
        2: "withdrawn",
        3: "awaiting_approval",
    }
    assert shown["state"] == "live"
    assert shown["headline"] == "version 1 serves 100% of requests; version 3 waits for approval"
    assert (await road.predict(name)).is_success, "what is live stays"


async def test_two_approved_versions_roll_out_one_after_the_other(
    live_model: tuple[Road, str, str], log_model: Callable[..., str]
) -> None:
    road, name, deployment_id = live_model
    for _ in range(2):
        log_model(name=name)
    held = [(await road.deploy(name, version)).json() for version in ("2", "3")]
    for one in held:
        await road.decide(one["approval_id"], "sam@company.com", "senior-data-scientist")
        await road.decide(one["approval_id"], "max@company.com", "manager")
    most = 0
    while True:
        await road.work()
        shown = await road.ask("GET", f"/api/v1/deployments/{deployment_id}", scientist(road))
        states = {row["version"]: row["state"] for row in shown["revisions"]}
        most = max(most, sum(state in {"starting", "rolling_out"} for state in states.values()))
        if states[3] == "live":
            break
    assert most == 1
    assert states == {1: "standby", 2: "standby", 3: "live"}


async def test_ones_own_staging_deployment_is_stopped_and_deleted_without_an_operator(
    road: Road, log_model: Callable[..., str]
) -> None:
    name = log_model("low")
    place = (await road.deploy(name)).json()["deployment_id"]
    await road.until(place, "live")
    undeploy = f"/api/v1/deployments/{place}/undeploy"
    stranger = await road.client.post(undeploy, json={"reason": "x"}, headers=scientist(road, "ben@company.com"))
    assert stranger.status_code == 403
    assert "ml-engineer" in stranger.json()["detail"], "a refusal names the roles that may"
    silent = await road.client.post(undeploy, json={}, headers=scientist(road))
    assert (silent.status_code, silent.json()["type"]) == (422, "/problems/operation-needs-reason")
    await road.ask("POST", undeploy, scientist(road), json={"reason": "a mistake"})
    version = await road.ask("GET", f"/api/v1/models/{name}/versions/1", scientist(road))
    assert version["stage"] == "validation", "live nowhere any more"
    foreign = await road.client.delete(f"/api/v1/models/{name}", headers=scientist(road, "ben@company.com"))
    assert foreign.status_code == 403
    assert (await road.client.delete(f"/api/v1/models/{name}", headers=scientist(road))).is_success


async def test_what_was_in_production_is_not_deleted_by_its_owner_alone(
    road: Road, log_model: Callable[..., str], database: Database
) -> None:
    name = log_model("low")
    await road.deploy(name)
    async with database.session() as session:
        await session.execute(text("UPDATE model_versions SET stage = 'production' WHERE name = :name"), {"name": name})
        await session.execute(text("UPDATE revisions SET state = 'retired'"))
    refused = await road.client.delete(f"/api/v1/models/{name}/versions/1", headers=scientist(road))
    assert refused.status_code == 403
    assert (await road.client.delete(f"/api/v1/models/{name}", headers=scientist(road))).status_code == 403


async def test_a_rejection_says_why(road: Road, log_model: Callable[..., str]) -> None:
    held = (await road.deploy(log_model())).json()
    path = f"/api/v1/approvals/{held['approval_id']}/decisions"
    manager = road.as_("max@company.com", "manager")
    for comment in ("", "  "):
        silent = await road.client.post(path, json={"decision": "reject", "comment": comment}, headers=manager)
        assert (silent.status_code, silent.json()["type"]) == (422, "/problems/rejection-needs-reason")
    settled = await road.ask("POST", path, manager, json={"decision": "reject", "comment": "wrong data"})
    assert (settled["status"], settled["reason"]) == ("rejected", "wrong data")


async def test_a_refused_version_is_told_to_its_requester(
    road: Road, log_model: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = log_model("low")
    place = (await road.deploy(name)).json()["deployment_id"]
    monkeypatch.setattr("mlops_platform.builds.bundles.tree_digest", lambda _: "sha256:changed")
    await road.until(place, "failed")
    async with road.services.database.read_session() as session:
        told = (await session.execute(select(NoticeRow).where(NoticeRow.kind == "version-refused"))).scalars().all()
    assert len(told) == 1
    assert "ana@company.com" in str(told[0].audience)
    assert "changed" in told[0].sentence


@pytest.mark.whole("two versions are built for it")
async def test_live_means_that_every_process_answers(
    road: Road, log_model: Callable[..., str], database: Database
) -> None:
    name = log_model("low")
    place = (await road.deploy(name)).json()["deployment_id"]
    async with database.session() as session:
        # another process of the API that has not read the routes yet
        insert = "INSERT INTO data_planes VALUES ('slow', -1, '{}', now() + interval '1 hour')"
        await session.execute(text(insert))
    waiting = "1 of 2 processes of the API still load it"
    async with asyncio.timeout(90):
        while True:
            await road.work()
            shown = await road.ask("GET", f"/api/v1/deployments/{place}", scientist(road))
            if shown["message"] == waiting:
                break
    await road.work()
    shown = await road.ask("GET", f"/api/v1/deployments/{place}", scientist(road))
    assert (shown["revisions"][0]["state"], shown["message"]) == ("rolling_out", waiting)
    async with database.session() as session:
        await session.execute(text("DELETE FROM data_planes WHERE id = 'slow'"))
    await road.until(place, "live")
    assert (await road.predict(name)).status_code == 200, "at the very moment it is live"


async def test_a_revision_that_the_api_cannot_load_is_rolled_back_with_the_reason(
    road: Road, log_model: Callable[..., str], database: Database
) -> None:
    name = log_model("low")
    place = (await road.deploy(name)).json()
    async with database.session() as session:
        reason = {"reason": f'{{"{place["revision_id"]}": "the graph has an unknown operator"}}'}
        insert = "INSERT INTO data_planes VALUES ('picky', 1000000, CAST(:reason AS jsonb), now() + interval '1 hour')"
        await session.execute(text(insert), reason)
    shown = await road.until(place["deployment_id"], "rolled_back")
    assert shown["revisions"][0]["reason"] == "it cannot be loaded: the graph has an unknown operator"


async def test_nobody_waits_for_a_process_that_is_gone(services: object, database: Database) -> None:
    async with database.session() as session:
        for insert in ("('old', 1, '{}', now() - interval '11 seconds')", "('new', 7, '{}', now())"):
            await session.execute(text(f"INSERT INTO data_planes VALUES {insert}"))
    async with database.read_session() as session:
        assert (await of(session, "any", 7)).answers
        assert not (await of(session, "any", 8)).answers


async def test_one_build_that_breaks_off_holds_up_no_other(
    road: Road, log_model: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = log_model("low"), log_model("low")
    bad_place = (await road.deploy(bad)).json()["deployment_id"]
    good_place = (await road.deploy(good)).json()["deployment_id"]
    download = road.services.registry.download

    async def poisoned(name: str, *rest: object) -> object:
        if name == bad:
            raise OSError(36, "File name too long")
        return await download(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(type(road.services.registry), "download", lambda _self, *rest: poisoned(*rest))
    await road.until(good_place, "live")
    shown = await road.ask("GET", f"/api/v1/deployments/{bad_place}", scientist(road))
    assert "broke off" in shown["revisions"][0]["reason"]
    assert "tried again" in shown["revisions"][0]["reason"]


async def test_one_request_that_cannot_expire_holds_up_no_other(
    road: Road, log_model: Callable[..., str], database: Database
) -> None:
    held = [(await road.deploy(log_model())).json() for _ in range(2)]
    async with database.session() as session:
        await session.execute(text("UPDATE approvals SET expires_at = now() - interval '1 second'"))
        # a state no settled request may leave: moving on from it is refused
        broken = {"id": held[0]["revision_id"]}
        await session.execute(
            text("UPDATE revisions SET deployment_id = deployment_id, state = 'bogus' WHERE id = :id"), broken
        )
    await expire_overdue(road.services)
    async with database.read_session() as session:
        rows = await session.execute(text("SELECT status FROM approvals ORDER BY id"))
        assert [row[0] for row in rows][1] == "expired"
