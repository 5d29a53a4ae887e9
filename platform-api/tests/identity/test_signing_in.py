"""Signing in by browser: with the embedded issuer a browser is enough; with a company's provider its word counts."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import select, update

from mlops_platform import bootstrap
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.sessions import COOKIE
from mlops_platform.identity.tables import BrowserSessionRow, KeptFormRow
from mlops_platform.kit.clock import now
from mlops_platform.settings import Settings

from ..support.browsing import ask_to_sign_in, browser_for, choose, query_of, sign_in_as
from ..support.provider import CLIENT, Provider, running_provider


@pytest.fixture
async def browser(services: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_for(services) as client:
        yield client


@pytest.fixture(scope="module")
def a_provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(a_provider: Provider) -> Provider:
    """The provider as it was at first."""
    fresh = Provider(0)
    for name in vars(fresh).keys() - {"issuer", "key"}:
        setattr(a_provider, name, getattr(fresh, name))
    return a_provider


@pytest.fixture
async def company(settings: Settings, services: BuiltServices, provider: Provider) -> AsyncIterator[BuiltServices]:
    """A platform that trusts the company's provider."""
    built = bootstrap.build(
        settings.model_copy(update={"issuer": provider.issuer, "oidc_client_id": CLIENT, "approver_amr": ["mfa"]})
    )
    yield built
    await built.database.dispose()


@pytest.fixture
async def staff(company: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_for(company) as client:
        yield client


async def come_back(
    client: httpx.AsyncClient, provider: Provider, page: str = "/console", **more: str
) -> httpx.Response:
    sent = query_of(await ask_to_sign_in(client, page))
    provider.nonce = sent["nonce"]
    return await client.get("/console/sign-in/callback", params={"code": "c", "state": sent["state"], **more})


async def aged(services: BuiltServices, **columns: timedelta) -> None:
    """Make every session older, as time would."""
    values = {name: getattr(BrowserSessionRow, name) - by for name, by in columns.items()}
    async with services.database.session() as session:
        await session.execute(update(BrowserSessionRow).values(**values))


async def test_a_browser_is_enough(browser: httpx.AsyncClient) -> None:
    asked = await browser.get("/console/approvals?cursor=x")
    assert asked.headers["location"] == f"/console/sign-in?{urlencode({'next': '/console/approvals?cursor=x'})}"
    page = await browser.get(asked.headers["location"])
    begin = re.search(r'href="(/console/sign-in/begin[^"]+)"', page.text)
    assert begin is not None
    answer = await browser.get(begin.group(1).replace("&amp;", "&"))
    back = await browser.get(await choose(browser, answer.headers["location"], "max"))
    assert (back.status_code, back.headers["location"]) == (303, "/console/approvals?cursor=x")
    assert "max@company.com" in (await browser.get("/console")).text
    assert [name for name in browser.cookies if "sign_in" in name] == []


async def test_the_cookie_is_opaque_and_the_database_cannot_open_it(
    browser: httpx.AsyncClient, services: BuiltServices
) -> None:
    await sign_in_as(browser, "max")
    cookie = browser.cookies[COOKIE]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", cookie)
    async with services.database.read_session() as session:
        (row,) = (await session.scalars(select(BrowserSessionRow))).all()
    assert cookie not in repr(vars(row))
    assert b"eyJ" not in row.sealed, "the provider's tokens are sealed"


async def test_signing_in_again_ends_the_session_before(browser: httpx.AsyncClient) -> None:
    await sign_in_as(browser, "max")
    before = browser.cookies[COOKIE]
    await sign_in_as(browser, "ana")
    assert browser.cookies[COOKIE] != before
    browser.cookies.clear()
    assert (await browser.get("/console", headers={"Cookie": f"{COOKIE}={before}"})).status_code == 303


@pytest.mark.parametrize(
    ("columns", "open_"),
    [
        ({"seen_at": timedelta(minutes=59)}, True),
        ({"seen_at": timedelta(minutes=61)}, False),
        ({"ends_at": timedelta(hours=9)}, True),
        ({"ends_at": timedelta(hours=11)}, False),
    ],
    ids=str,
)
async def test_a_session_ends_by_idleness_and_by_age(
    browser: httpx.AsyncClient, services: BuiltServices, columns: dict[str, timedelta], open_: bool
) -> None:
    await sign_in_as(browser, "max")
    await aged(services, **columns)
    assert (await browser.get("/console")).status_code == (200 if open_ else 303)


async def test_signing_out_here_signs_out_at_the_provider_and_everywhere_when_asked(
    services: BuiltServices,
) -> None:
    async with browser_for(services) as one, browser_for(services) as other:
        await sign_in_as(one, "max")
        await sign_in_as(other, "max")
        out = await one.post("/console/sign-out", data={"everywhere": "yes"})
        address = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', out.text)
        assert address is not None
        ended = await one.get(address.group(1).replace("&amp;", "&"))
        assert ended.headers["location"] == f"{services.settings.url}/console/signed-out"
        assert (await other.get("/console")).status_code == 303


async def test_what_was_typed_when_the_session_had_ended_is_shown_to_the_same_person_again(
    browser: httpx.AsyncClient, services: BuiltServices
) -> None:
    await sign_in_as(browser, "max")
    form = hidden_form_token((await browser.get("/console")).text, browser)
    await aged(services, seen_at=timedelta(hours=2))
    sent = await browser.post(
        "/console/approvals/a1",
        data={"form_token": form, "comment": "grün & <b>gut</b>", "decision": "approve"},
        headers={"Referer": f"{services.settings.url}/console/approvals/a1"},
    )
    assert sent.status_code == 303
    asked = query_of(sent.headers["location"])
    assert asked["next"] == "/console/approvals/a1"
    async with services.database.read_session() as session:
        (row,) = (await session.scalars(select(KeptFormRow))).all()
    assert "gut" not in repr(row.sealed)
    begun = await browser.get("/console/sign-in/begin", params=asked)
    back = await browser.get(await choose(browser, begun.headers["location"], "max"))
    assert back.headers["location"] == f"/console/approvals/a1?kept={asked['kept']}"
    # the form itself: tests/console/test_late_forms.py
    shown = await browser.get(f"/console?kept={asked['kept']}")
    assert "What you typed is in it again" in shown.text
    await sign_in_as(browser, "ana")
    assert "What you typed" not in (await browser.get(f"/console?kept={asked['kept']}")).text, "another person's"


def hidden_form_token(_page: str, browser: httpx.AsyncClient) -> str:
    from mlops_platform.console.sessions import form_token

    return form_token(browser.cookies[COOKIE])


async def test_a_kept_form_is_bounded_and_short_lived(browser: httpx.AsyncClient, services: BuiltServices) -> None:
    await sign_in_as(browser, "max")
    form = hidden_form_token("", browser)
    await aged(services, seen_at=timedelta(hours=2))

    async def late(comment: str, token: str = form) -> dict[str, str]:
        answer = await browser.post("/console/approvals/a1", data={"form_token": token, "comment": comment})
        assert answer.status_code == 303, answer.text
        return query_of(answer.headers["location"])

    assert "kept" not in await late("x" * 5_001)
    assert "kept" not in await late("x" * 100_000)
    assert "kept" not in await late("from another site", token="guessed")
    keys = [(await late(str(number))).get("kept") for number in range(7)]
    assert sum(key is not None for key in keys) == 5
    async with services.database.session() as session:
        await session.execute(update(KeptFormRow).values(until=now()))
    await sign_in_as(browser, "max")
    assert "What you typed" not in (await browser.get(f"/console?kept={keys[0]}")).text


async def test_a_companys_provider_signs_people_in(staff: httpx.AsyncClient, provider: Provider) -> None:
    answer = await come_back(staff, provider, "/console/deployments")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/deployments")
    (asked,) = provider.asked
    assert asked["client_id"] == CLIENT
    assert len(asked["code_verifier"]) >= 43
    assert "u-1" in (await staff.get("/console")).text


async def test_the_clients_secret_is_read_from_its_file(
    settings: Settings, services: BuiltServices, provider: Provider, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    update = {"issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_client_secret_file": secret}
    built = bootstrap.build(settings.model_copy(update=update))
    async with browser_for(built) as client:
        await come_back(client, provider)
    assert provider.asked[0]["authorization"].startswith("Basic ")
    provider.metadata_changes = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    again = bootstrap.build(settings.model_copy(update=update))
    async with browser_for(again) as client:
        await come_back(client, provider)
    assert provider.asked[1]["client_secret"] == "s3cret"


@pytest.mark.parametrize("kilobytes", [6, 40])
async def test_a_large_token_stays_on_the_server(staff: httpx.AsyncClient, provider: Provider, kilobytes: int) -> None:
    provider.changes = {"groups": [f"group-{number:04}" for number in range(kilobytes * 1024 // 14)]}
    assert (await come_back(staff, provider)).status_code == 303
    assert sum(len(name) + len(value) for name, value in staff.cookies.items()) < 200
    assert (await staff.get("/console")).status_code == 200


async def test_a_deactivated_person_is_out_within_ten_minutes(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider
) -> None:
    await come_back(staff, provider)
    provider.active = False
    assert (await staff.get("/console")).status_code == 200, "asked only when the last answer is old"
    await aged(company, checked_at=timedelta(minutes=10))
    assert (await staff.get("/console")).status_code == 303


async def test_a_changed_role_counts_within_ten_minutes(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider
) -> None:
    await come_back(staff, provider)
    assert (await staff.get("/console/audit")).status_code == 403
    provider.person = {**provider.person, "roles": ["auditor"]}
    await aged(company, checked_at=timedelta(minutes=6))
    assert (await staff.get("/console/audit")).status_code == 200


@pytest.mark.parametrize("says_who", [True, False])
async def test_renewing_goes_on_with_or_without_an_id_token(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider, says_who: bool
) -> None:
    await come_back(staff, provider)
    provider.answers_with_id_token_when_renewing = says_who
    for _ in range(3):
        await aged(company, checked_at=timedelta(minutes=11))
        assert (await staff.get("/console")).status_code == 200
    assert len(provider.asked) == 4
    sent = [asked["refresh_token"] for asked in provider.asked[1:]]
    assert len(set(sent)) == 3, "each refresh token is used once"


async def test_many_requests_together_renew_once(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider
) -> None:
    import asyncio

    await come_back(staff, provider)
    await aged(company, checked_at=timedelta(minutes=11))
    answers = await asyncio.gather(*(staff.get("/console") for _ in range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len(provider.asked) == 2


async def test_renewing_as_somebody_else_ends_the_session(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider
) -> None:
    await come_back(staff, provider)
    provider.person = {**provider.person, "sub": "u-2"}
    await aged(company, checked_at=timedelta(minutes=11))
    assert (await staff.get("/console")).status_code == 303


async def test_without_a_refresh_token_the_browser_asks_the_provider_again(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider
) -> None:
    provider.gives_refresh_tokens = False
    await come_back(staff, provider)
    await aged(company, checked_at=timedelta(minutes=9))
    assert (await staff.get("/console")).status_code == 200
    await aged(company, checked_at=timedelta(minutes=2))
    assert (await staff.get("/console")).status_code == 303


async def test_an_outage_of_the_provider_ends_no_session_and_lets_nobody_go_on_unasked(
    staff: httpx.AsyncClient, company: BuiltServices, provider: Provider
) -> None:
    await come_back(staff, provider)
    provider.down = True
    await aged(company, checked_at=timedelta(minutes=6))
    assert (await staff.get("/console")).status_code == 200
    await aged(company, checked_at=timedelta(minutes=5))
    assert (await staff.get("/console")).status_code == 503
    provider.down = False
    assert (await staff.get("/console")).status_code == 200


async def test_the_provider_ends_one_session_or_all_of_a_person(company: BuiltServices, provider: Provider) -> None:
    async with browser_for(company) as one, browser_for(company) as other:
        await come_back(one, provider)
        provider.changes = {"sid": "s-2"}
        await come_back(other, provider)
        told = await one.post("/console/sign-out/back-channel", data={"logout_token": provider.logout_token()})
        assert told.status_code == 200, told.text
        assert (await one.get("/console")).status_code == 303
        assert (await other.get("/console")).status_code == 200
        everything = provider.logout_token(sid=None, sub="u-1")
        assert (await one.post("/console/sign-out/back-channel", data={"logout_token": everything})).status_code == 200
        assert (await other.get("/console")).status_code == 303


async def test_deciding_needs_the_second_factor_that_the_settings_demand(
    staff: httpx.AsyncClient, provider: Provider
) -> None:
    await come_back(staff, provider)
    form = {"form_token": hidden_form_token("", staff), "decision": "approve"}
    refused = await staff.post("/console/approvals/a1", data=form)
    assert refused.status_code == 403
    assert "sign in again with your second factor" in refused.text
    bearer = {
        "Authorization": f"Bearer {provider.sign({**provider.person, **times(), 'iss': provider.issuer, 'aud': 'mlops-platform'})}"
    }
    by_api = await staff.post("/api/v1/approvals/a1/decisions", json={"decision": "approve"}, headers=bearer)
    assert (by_api.status_code, by_api.json()["type"]) == (403, "/problems/second-factor-needed")
    provider.person = {**provider.person, "amr": ["pwd", "mfa"]}
    await come_back(staff, provider)
    form = {"form_token": hidden_form_token("", staff), "decision": "approve"}
    assert (await staff.post("/console/approvals/a1", data=form)).status_code == 404, "there is no such request"


def times() -> dict[str, int]:
    at = int(now().timestamp())
    return {"iat": at, "exp": at + 300}


async def test_claims_are_mapped_by_settings(settings: Settings, services: BuiltServices, provider: Provider) -> None:
    changes = {
        "issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "subject_claim": "email",
        "roles_claim": "realm_access.roles",
        "role_names": {"grp-leads": "manager"},
        "tenant_claim": "https://company.com/team",
    }
    built = bootstrap.build(settings.model_copy(update=changes))
    provider.person = {
        "sub": "u-1",
        "email": "Max@Company.com",
        "email_verified": True,
        "realm_access": {"roles": ["grp-leads", "platform-admin"]},
        "https://company.com/team": "risk",
    }
    async with browser_for(built) as client:
        await come_back(client, provider)
        shown = (await client.get("/console")).text
    assert "max@company.com</a> · manager · risk" in shown
    assert "platform-admin" not in shown
