"""Who can do what: from what tokens said and when people were here; reviewers say whether it should stay so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.identity.tables import AccessReviewRow, PersonRow

from ..support.browsing import browser_for, hidden, sign_in_as

Headers = Callable[..., dict[str, str]]


@pytest.fixture
async def browser(services: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_for(services) as client:
        yield client


@pytest.fixture
async def seen(browser: httpx.AsyncClient, services: BuiltServices, as_: Headers) -> Headers:
    """Ana and Max were here, Max long ago; Eve is of another team, and a program came too."""
    people = [
        ("ana@company.com", "data-scientist", "default"),
        ("max@company.com", "manager", "default"),
        ("eve@company.com", "architect", "other"),
        ("svc", "service", "default"),
    ]
    for subject, role, tenant in people:
        assert (await browser.get("/api/v1/me", headers=as_(subject, role, tenant=tenant))).status_code == 200
    async with services.database.session() as session:
        long_ago = PersonRow.seen_at - timedelta(days=91)
        await session.execute(update(PersonRow).where(PersonRow.subject == "max@company.com").values(seen_at=long_ago))
    return as_


async def listed(client: httpx.AsyncClient, who: dict[str, str], **params: Any) -> dict[str, dict[str, Any]]:
    answer = await client.get("/api/v1/access", headers=who, params=params)
    assert answer.status_code == 200, answer.text
    return {one["subject"]: one for one in answer.json()["items"]}


async def say(client: httpx.AsyncClient, who: dict[str, str], **changes: Any) -> httpx.Response:
    right = {"subject": "ana@company.com", "roles": ["data-scientist"], "verdict": "confirm"}
    return await client.post("/api/v1/access/reviews", json={**right, **changes}, headers=who)


async def test_a_reviewer_sees_who_can_do_what_and_who_has_not_come(browser: httpx.AsyncClient, seen: Headers) -> None:
    aud = seen("aud@company.com", "auditor")
    found = await listed(browser, aud)
    assert set(found) == {"ana@company.com", "aud@company.com", "eve@company.com", "max@company.com"}
    assert "model:register" in found["ana@company.com"]["may"]
    assert "approval:decide" not in found["ana@company.com"]["may"]
    assert {name for name, one in found.items() if one["every_team"]} == {"aud@company.com", "eve@company.com"}
    assert {name for name, one in found.items() if one["unused"]} == {"max@company.com"}
    assert set(await listed(browser, aud, only_unused=True)) == {"max@company.com"}
    assert await listed(browser, aud, only_unused=True, unused_days=92) == {}


async def test_pages_hold_everybody_once(browser: httpx.AsyncClient, seen: Headers) -> None:
    aud, names, cursor = seen("aud@company.com", "auditor"), [], None
    for _ in range(4):
        params = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        answer = (await browser.get("/api/v1/access", headers=aud, params=params)).json()
        names += [one["subject"] for one in answer["items"]]
        cursor = answer["next_cursor"]
    assert (names, cursor) == (sorted(set(names)), None)
    assert len(names) == 4


@pytest.mark.parametrize("role", ["viewer", "manager", "team-lead", "ml-engineer", "architect", "service"])
async def test_nobody_else_may(browser: httpx.AsyncClient, seen: Headers, role: str) -> None:
    other = seen("x@company.com", role)
    assert (await browser.get("/api/v1/access", headers=other)).status_code == 403
    assert (await say(browser, other)).status_code == 403


async def test_what_a_reviewer_says_is_kept_shown_and_recorded(browser: httpx.AsyncClient, seen: Headers) -> None:
    aud = seen("aud@company.com", "auditor")
    assert (await say(browser, aud)).status_code == 201
    assert (await say(browser, aud, verdict="mark")).status_code == 422
    assert (await say(browser, aud, verdict="mark", comment="left the team")).status_code == 201
    ana = (await listed(browser, aud))["ana@company.com"]
    assert (ana["review"]["verdict"], ana["review"]["reviewer"]) == ("mark", "aud@company.com")
    assert ana["review"]["still_so"]
    found = (await browser.get("/api/v1/audit/events", headers=aud)).json()["items"]
    said = [one for one in found if one["action"] == "identity:access:reviewed"]
    assert [one["details"]["verdict"] for one in said] == ["mark", "confirm"]
    assert "ana" not in said[0]["resource"]
    assert (await listed(browser, aud))["aud@company.com"]["acted_at"] is not None
    # Ana comes with another role: what was said was said of other access
    await browser.get("/api/v1/me", headers=seen("ana@company.com", "manager"))
    assert not (await listed(browser, aud))["ana@company.com"]["review"]["still_so"]


async def test_what_the_reviewer_did_not_look_at_is_not_confirmed(browser: httpx.AsyncClient, seen: Headers) -> None:
    aud = seen("aud@company.com", "auditor")
    for roles in ([], ["data-scientist", "manager"], ["manager"]):
        answer = await say(browser, aud, roles=roles)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/access-changed")
    assert (await say(browser, aud, roles=["emperor"])).status_code == 422
    assert (await say(browser, aud, subject="nobody@company.com")).status_code == 404


async def test_nobody_reviews_the_own_access(browser: httpx.AsyncClient, seen: Headers) -> None:
    root = seen("root@company.com", "platform-admin")
    await browser.get("/api/v1/me", headers=root)
    answer = await say(browser, root, subject="ROOT@company.com", roles=["platform-admin"])
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/own-access")


async def test_two_reviews_at_once_are_both_kept(
    browser: httpx.AsyncClient, services: BuiltServices, seen: Headers
) -> None:
    reviewers = [seen(f"aud{number}@company.com", "auditor") for number in range(4)]
    answers = await asyncio.gather(*(say(browser, one) for one in reviewers))
    assert {answer.status_code for answer in answers} == {201}
    async with services.database.read_session() as session:
        assert len((await session.scalars(select(AccessReviewRow))).all()) == 4


async def test_the_console_confirms_and_marks_what_it_showed(
    browser: httpx.AsyncClient, services: BuiltServices, seen: Headers
) -> None:
    await sign_in_as(browser, "aud")
    page = (await browser.get("/console/access")).text
    assert "ana@company.com" in page
    assert "somebody else reviews you" in page
    fields = hidden(page)
    assert (fields["subject"], fields["roles"]) == ("ana@company.com", "data-scientist")
    assert (await browser.post("/console/access", data={**fields, "verdict": "confirm"})).status_code == 303
    assert "confirmed by aud@company.com" in (await browser.get("/console/access")).text
    assert (await browser.post("/console/access", data={**fields, "verdict": "mark"})).status_code == 422
    unused = (await browser.get("/console/access?unused=true")).text
    assert ("max@company.com" in unused, "eve@company.com" in unused) == (True, False)
    async with services.database.read_session() as session:
        assert len((await session.scalars(select(AccessReviewRow))).all()) == 1
