"""A feature view that every team reads is written by its owner only, and every write is an event without values."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from mlops_platform.bootstrap import BuiltServices
from tests.attacks.remembered_features import RememberedFeatures, view
from tests.conftest import client_for

ENGINEER = ("eve@company.com", "ml-engineer")
ROWS = {"customer": ["c1", "c2"], "value": [999_999.0, 1.0]}


@dataclass
class Shop:
    """Views of three kinds, and who may touch them."""

    client: httpx.AsyncClient
    store: RememberedFeatures
    as_: Callable[..., dict[str, str]]

    async def push(self, name: str, *who: str, tenant: str = "default") -> httpx.Response:
        body = {"view": name, "rows": ROWS}
        return await self.client.post("/api/v1/features/push", json=body, headers=self.as_(*who, tenant=tenant))

    async def events(self) -> list[dict[str, Any]]:
        answer = await self.client.get("/api/v1/audit/events?action=feature:", headers=self.as_("au@x.co", "auditor"))
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@pytest.fixture
async def shop(services: BuiltServices, as_: Callable[..., dict[str, str]]) -> AsyncIterator[Shop]:
    store = RememberedFeatures(
        view("owned", owner="default"),
        view("nobodys"),
        view("private", tenant="default"),
        view("theirs", tenant="other"),
    )
    async with client_for(replace(services, features=store)) as client:
        yield Shop(client, store, as_)


async def test_another_team_reads_a_shared_view_and_cannot_write_it(shop: Shop) -> None:
    assert (await shop.push("owned", *ENGINEER)).status_code == 200
    for roles in (("ml-engineer",), ("ml-engineer", "auditor"), ("ml-engineer", "service", "cab-member")):
        refused = await shop.push("owned", "eve@company.com", *roles, tenant="other")
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/not-your-view")
    assert shop.store.values["owned", "c1"] == 999_999.0
    asked = {"feature_refs": ["owned:value"], "entity_ids": ["c1"]}
    read = await shop.client.post(
        "/api/v1/features/retrieve", json=asked, headers=shop.as_("d@x.co", "data-scientist", tenant="other")
    )
    assert read.json()["features"] == {"value": [999_999.0]}


async def test_a_view_without_an_owner_is_written_by_administrators_only(shop: Shop) -> None:
    assert (await shop.push("nobodys", *ENGINEER)).status_code == 403
    assert not shop.store.values
    assert (await shop.push("nobodys", "root@company.com", "platform-admin")).status_code == 200


@pytest.mark.parametrize("tenant", ["", " "])
async def test_no_token_carries_the_tenant_of_what_nobody_owns(shop: Shop, tenant: str) -> None:
    assert (await shop.push("nobodys", *ENGINEER, tenant=tenant)).status_code == 401


async def test_a_reviewer_of_models_does_not_read_another_teams_features(shop: Shop) -> None:
    asked = {"feature_refs": ["theirs:value"], "entity_ids": ["c1"]}

    async def read(*roles: str) -> int:
        who = shop.as_("a@x.co", *roles)
        listed = (await shop.client.get("/api/v1/features/views", headers=who)).json()["feature_views"]
        answer = await shop.client.post("/api/v1/features/retrieve", json=asked, headers=who)
        assert ("theirs" in {one["name"] for one in listed}) == (answer.status_code == 200)
        return answer.status_code

    assert await read("architect", "data-scientist") == 404
    assert await read("cab-member") == 404
    assert await read("auditor") == 200


async def test_materialising_everything_touches_only_what_is_the_teams_own(shop: Shop) -> None:
    who = shop.as_(*ENGINEER, tenant="other")
    named = await shop.client.post("/api/v1/features/materialize", json={"views": ["owned"]}, headers=who)
    assert named.status_code == 403
    assert shop.store.materialised == []
    everything = await shop.client.post("/api/v1/features/materialize", json={}, headers=who)
    assert everything.json()["views"] == ["theirs"]
    assert shop.store.materialised == ["theirs"]


async def test_writes_are_events_with_counts_and_no_values(shop: Shop) -> None:
    await shop.push("owned", *ENGINEER)
    await shop.client.post("/api/v1/features/materialize", json={"views": ["owned"]}, headers=shop.as_(*ENGINEER))
    materialised, pushed = await shop.events()
    assert (pushed["action"], pushed["actor"], pushed["resource"], pushed["tenant"]) == (
        "feature:rows:pushed",
        "eve@company.com",
        "feature-view:owned",
        "default",
    )
    assert pushed["details"] == {"rows": 2}
    assert materialised["action"] == "feature:view:materialized"
    assert "999999" not in str(await shop.events())


async def test_a_write_that_cannot_be_recorded_does_not_happen(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_arguments: object, **_named: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("mlops_platform.features.writing.audit.record", broken)
    assert (await shop.push("owned", *ENGINEER)).status_code == 500
    assert not shop.store.values
