"""Signing out everywhere ends browsers, what renews tokens, and tokens; an administrator does it for somebody else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.bootstrap_identity import build_identity
from mlops_platform.console.sessions import COOKIE
from mlops_platform.database.session import Database
from mlops_platform.errors import Unavailable
from mlops_platform.identity import sign_outs
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.interfaces import VerifiedToken
from mlops_platform.identity.issuer import grants
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.sign_outs import SignOuts
from mlops_platform.identity.tables import BrowserSessionRow, IssuerGrantRow, SignOutRow
from mlops_platform.identity.tokens import InvalidToken

from ..support.browsing import browser_for, sign_in_as

Headers = Callable[..., dict[str, str]]


@pytest.fixture
async def browser(services: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_for(services) as client:
        yield client


async def _events(client: httpx.AsyncClient, as_: Headers) -> list[dict[str, Any]]:
    found = await client.get("/api/v1/audit/events", headers=as_("aud@company.com", "auditor"))
    return [event for event in found.json()["items"] if event["action"] == "identity:person:signed-out"]


async def test_a_person_ends_every_browser_and_every_token(
    browser: httpx.AsyncClient, services: BuiltServices, as_: Headers
) -> None:
    token = as_("max@company.com", "manager")
    await sign_in_as(browser, "max")
    async with services.database.session() as session:
        row = grants.Granted({"sub": "max@company.com"}, "f", None, 0, offline=True)
        refresh = await grants.new_refresh(session, "mlops-cli", row)
    assert (await browser.get("/api/v1/me", headers=token)).status_code == 200
    answer = await browser.post("/api/v1/me/sign-out", headers=token)
    assert (answer.status_code, answer.json()["sessions"]) == (200, 1)
    assert (await browser.get("/console")).status_code == 303
    refused = await browser.get("/api/v1/me", headers=token)
    assert (refused.status_code, "signed out everywhere" in refused.json()["detail"]) == (401, True)
    again = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": "mlops-cli"}
    assert (await browser.post("/issuer/token", data=again)).json() == {"error": "invalid_grant"}
    # who does so is recorded; the log names the person by a pseudonym
    (event,) = await _events(browser, as_)
    assert (event["actor"], event["details"]["own"]) == ("max@company.com", True)
    assert "max" not in event["resource"]


async def test_who_signs_in_again_is_in_again_and_nobody_else_was_out(
    browser: httpx.AsyncClient, issuer: DevelopmentIssuer, as_: Headers, services: BuiltServices
) -> None:
    ana = as_("ana@company.com", "viewer")
    await browser.post("/api/v1/me/sign-out", headers=as_("max@company.com", "manager"))
    assert (await browser.get("/api/v1/me", headers=ana)).status_code == 200
    await sign_in_as(browser, "max")
    assert (await browser.get("/console")).status_code == 200
    # as a second later: tokens say their time in whole seconds
    async with services.database.session() as session:
        await session.execute(
            update(SignOutRow).values(before=SignOutRow.before - func.make_interval(0, 0, 0, 0, 0, 0, 2))
        )
    services.identity.look_again()
    assert (await browser.get("/api/v1/me", headers=as_("max@company.com", "manager"))).status_code == 200


async def test_the_console_has_the_button(browser: httpx.AsyncClient, services: BuiltServices, as_: Headers) -> None:
    token = as_("max@company.com", "manager")
    await sign_in_as(browser, "max")
    assert 'name="everywhere"' in (await browser.get("/console/account")).text
    other_site = await browser.post("/console/sign-out", data={"everywhere": "yes"}, headers={"Origin": "https://evil"})
    assert other_site.status_code == 403
    assert (await browser.post("/console/sign-out", data={"everywhere": "yes"})).status_code in {200, 303}
    assert (await browser.get("/api/v1/me", headers=token)).status_code == 401
    async with services.database.read_session() as session:
        ended = (await session.scalars(select(BrowserSessionRow.ended_by))).all()
    assert ended == ["signed_out"]


async def test_a_cookie_that_is_over_signs_nobody_out(browser: httpx.AsyncClient, as_: Headers) -> None:
    await sign_in_as(browser, "max")
    stolen = browser.cookies[COOKIE]
    await browser.post("/console/sign-out")
    token = as_("max@company.com", "manager")
    browser.cookies.clear()
    await browser.post("/console/sign-out", data={"everywhere": "yes"}, headers={"Cookie": f"{COOKIE}={stolen}"})
    assert (await browser.get("/api/v1/me", headers=token)).status_code == 200


async def test_an_administrator_ends_a_persons_sessions_with_a_reason(
    browser: httpx.AsyncClient, as_: Headers, issuer: DevelopmentIssuer
) -> None:
    root = as_("root@company.com", "platform-admin")
    await sign_in_as(browser, "ana")
    # a session's person was here
    assert (await browser.get("/console")).status_code == 200
    body = {"subject": "ANA@company.com ", "reason": "her laptop was stolen"}
    assert (await browser.post("/api/v1/people/sign-out", json={**body, "reason": ""}, headers=root)).status_code == 422
    for other in ("manager", "auditor", "ml-engineer"):
        refused = await browser.post("/api/v1/people/sign-out", json=body, headers=as_("x@company.com", other))
        assert refused.status_code == 403
    answer = await browser.post("/api/v1/people/sign-out", json=body, headers=root)
    assert (answer.status_code, answer.json()["sessions"]) == (200, 1)
    assert (await browser.get("/console")).status_code == 303
    (event,) = await _events(browser, as_)
    assert (event["actor"], event["details"]["reason"]) == ("root@company.com", "her laptop was stolen")
    assert (event["details"]["own"], "ana" in event["resource"]) == (False, False)
    nobody = await browser.post("/api/v1/people/sign-out", json={**body, "subject": "nobody@x.com"}, headers=root)
    assert (nobody.status_code, nobody.json()["type"]) == (404, "/problems/person-not-seen")


async def test_two_at_once_end_once_and_the_later_time_counts(database: Database, services: BuiltServices) -> None:
    who = Principal("max@company.com", frozenset(), "default")
    parts = (database, services.identity, who, who.subject, "x")
    ended = await asyncio.gather(*(sign_outs.sign_out(*parts) for _ in range(6)))
    async with database.read_session() as session:
        row = (await session.scalars(select(SignOutRow))).one()
    assert row.before == max(one.before for one in ended)


async def test_what_dies_halfway_ends_nothing(database: Database, services: BuiltServices, monkeypatch: Any) -> None:
    async def die(*_: object) -> int:
        raise RuntimeError("killed")

    monkeypatch.setattr(grants, "end_of_person", die)
    who = Principal("max@company.com", frozenset(), "default")
    with pytest.raises(RuntimeError, match="killed"):
        await sign_outs.sign_out(database, services.identity, who, who.subject, "x")
    async with database.read_session() as session:
        assert (await session.scalars(select(SignOutRow))).all() == []


async def test_another_process_knows_within_seconds_and_an_outage_opens_nothing(
    services: BuiltServices, issuer: DevelopmentIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.mint("max@company.com", ["manager"])
    other = build_identity(services.settings, services.database)
    await other.authenticate(token)
    who = Principal("max@company.com", frozenset(), "default")
    await sign_outs.sign_out(services.database, services.identity, who, who.subject, "x")
    later = time.monotonic() + sign_outs.SECONDS + 0.1
    monkeypatch.setattr("mlops_platform.identity.sign_outs.time.monotonic", lambda: later)
    with pytest.raises(InvalidToken, match="signed out everywhere"):
        await other.authenticate(token)

    def away() -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(services.database, "read_session", away)
    monkeypatch.setattr("mlops_platform.identity.sign_outs.time.monotonic", lambda: later + 10)
    with pytest.raises(InvalidToken, match="signed out everywhere"):
        await other.authenticate(token)
    # who did not sign out is not kept out by it
    assert (await other.authenticate(issuer.mint("ana@company.com", ["viewer"]))).principal.subject == "ana@company.com"


@pytest.mark.parametrize(("issued", "counts"), [(-40.0, False), (20.0, False), (40.0, True), (None, False)], ids=str)
async def test_a_providers_clock_that_is_ahead_makes_no_token_younger(
    database: Database, services: BuiltServices, issued: float | None, counts: bool
) -> None:
    who = Principal("max@company.com", frozenset(), "default")
    ended = await sign_outs.sign_out(database, services.identity, who, who.subject, "x")
    at = 0.0 if issued is None else ended.before.timestamp() + issued
    checked = SignOuts(database, skew_seconds=30).check(VerifiedToken(who, time.time() + 600, issued_at=at))
    if counts:
        await checked
        return
    with pytest.raises(InvalidToken):
        await checked


async def test_a_deactivated_person_is_out_of_the_embedded_issuer_too(services: BuiltServices) -> None:
    who = Principal("max@company.com", frozenset(), "default")
    async with services.database.session() as session:
        await grants.new_refresh(session, "mlops-cli", grants.Granted({"sub": who.subject}, "f", None, 0, offline=True))
        await grants.new_refresh(session, "mlops-cli", grants.Granted({"sub": "ana@x.com"}, "g", None, 0, offline=True))
    ended = await sign_outs.sign_out(services.database, services.identity, who, who.subject, "x")
    assert ended.renewals == 1
    async with services.database.read_session() as session:
        left = (await session.scalars(select(IssuerGrantRow).where(IssuerGrantRow.used_at.is_(None)))).all()
    assert [row.content["claims"]["sub"] for row in left] == ["ana@x.com"]
