"""Attacks on signing in by browser: what each tries, and that it signs nobody in."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc.jwk import ECKey

from mlops_platform import bootstrap
from mlops_platform.app import compose
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.sessions import COOKIE
from mlops_platform.identity.return_paths import page_to_return_to
from mlops_platform.identity.sign_in_attempts import Attempt
from mlops_platform.settings import Settings

from ..support.browsing import ask_to_sign_in, browser_for, choose, query_of, sign_in_as
from ..support.provider import CLIENT, LOGOUT, Provider, running_provider
from .devices import older, patiently

OFF = "/console/sign-out/back-channel"


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
    fresh = Provider(0)
    for name in vars(fresh).keys() - {"issuer", "key"}:
        setattr(a_provider, name, getattr(fresh, name))
    return a_provider


@pytest.fixture
async def staff(settings: Settings, services: BuiltServices, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on a platform that trusts the company's provider."""
    built = bootstrap.build(settings.model_copy(update={"issuer": provider.issuer, "oidc_client_id": CLIENT}))
    async with browser_for(built) as client:
        yield client
    await built.database.dispose()


def signed_in(client: httpx.AsyncClient) -> bool:
    return COOKIE in client.cookies


# --- PKCE


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"nonce": ""},
        {"state": ""},
        {"response_type": "token"},
        {"response_type": "code token"},
        {"scope": "profile"},
    ],
    ids=str,
)
async def test_a_weaker_request_gets_no_code(browser: httpx.AsyncClient, changes: dict[str, str]) -> None:
    asked = {**query_of(await ask_to_sign_in(browser)), **changes}
    for answer in (
        await browser.get("/issuer/authorize", params=asked),
        await browser.post("/issuer/authorize", data={**asked, "who": "max"}),
    ):
        assert answer.status_code == 303
        said = query_of(answer.headers["location"])
        assert "code" not in said
        assert said["error"] in {"invalid_request", "unsupported_response_type", "invalid_scope"}


@pytest.mark.parametrize(
    "changes", [{"redirect_uri": "http://evil.example/"}, {"client_id": "evil"}, {"redirect_uri": ""}], ids=str
)
async def test_nobody_is_sent_to_an_address_that_is_not_the_clients(
    browser: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    answer = await browser.get("/issuer/authorize", params={**query_of(await ask_to_sign_in(browser)), **changes})
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def _code(browser: httpx.AsyncClient) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return a fresh code, what was asked for it, and the form that redeems it (without a verifier)."""
    address = await ask_to_sign_in(browser)
    said = query_of(await choose(browser, address, "max"))
    asked = query_of(address)
    form = {
        "grant_type": "authorization_code",
        "client_id": asked["client_id"],
        "redirect_uri": asked["redirect_uri"],
        "code": said["code"],
    }
    return said["code"], asked, form


@pytest.mark.parametrize("verifier", [{}, {"code_verifier": ""}, {"code_verifier": "x" * 43}, "challenge"], ids=str)
async def test_a_stolen_code_is_worth_nothing_without_the_verifier(browser: httpx.AsyncClient, verifier: Any) -> None:
    _, asked, form = await _code(browser)
    # the challenge itself is what a downgrade to 'plain' would take
    more = {"code_verifier": asked["code_challenge"]} if verifier == "challenge" else verifier
    answer = await browser.post("/issuer/token", data={**form, **more})
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})


def _attempt(browser: httpx.AsyncClient, state: str) -> Attempt:
    (cookie,) = [value for name, value in browser.cookies.items() if "sign_in" in name]
    attempt = Attempt.read(cookie, state, time.time())
    assert attempt is not None
    return attempt


@pytest.mark.parametrize("changes", [{"client_id": "mlops-cli"}, {"redirect_uri": "http://127.0.0.1:8000/"}], ids=str)
async def test_a_code_is_for_one_client_and_one_address(browser: httpx.AsyncClient, changes: dict[str, str]) -> None:
    _, asked, form = await _code(browser)
    verifier = _attempt(browser, asked["state"]).verifier
    answer = await browser.post("/issuer/token", data={**form, "code_verifier": verifier, **changes})
    assert answer.json() == {"error": "invalid_grant"}


async def test_a_code_that_comes_twice_ends_what_came_of_it(browser: httpx.AsyncClient) -> None:
    _, asked, form = await _code(browser)
    form["code_verifier"] = _attempt(browser, asked["state"]).verifier
    first = await browser.post("/issuer/token", data=form)
    assert first.status_code == 200
    assert (await browser.post("/issuer/token", data=form)).json() == {"error": "invalid_grant"}
    renew = {
        "grant_type": "refresh_token",
        "client_id": asked["client_id"],
        "refresh_token": first.json()["refresh_token"],
    }
    assert (await browser.post("/issuer/token", data=renew)).json() == {"error": "invalid_grant"}


async def test_two_at_once_with_one_code_get_one_answer(browser: httpx.AsyncClient) -> None:
    _, asked, form = await _code(browser)
    form["code_verifier"] = _attempt(browser, asked["state"]).verifier
    answers = await asyncio.gather(*(browser.post("/issuer/token", data=form) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


# --- state, nonce, fixation, login CSRF


async def test_a_callback_counts_once(browser: httpx.AsyncClient) -> None:
    back = await choose(browser, await ask_to_sign_in(browser), "max")
    kept = dict(browser.cookies)
    assert (await browser.get(back)).status_code == 303
    browser.cookies.clear()
    # the cookies of before, as a thief of them has them
    again = await browser.get(back, headers={"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())})
    assert again.status_code == 401
    assert not signed_in(browser)


async def test_a_state_replayed_with_a_fresh_code_is_refused(staff: httpx.AsyncClient, provider: Provider) -> None:
    sent = query_of(await ask_to_sign_in(staff))
    provider.nonce = sent["nonce"]
    cookies = "; ".join(f"{name}={value}" for name, value in staff.cookies.items())
    asked = {"code": "one", "state": sent["state"]}
    assert (await staff.get("/console/sign-in/callback", params=asked)).status_code == 303
    again = await staff.get("/console/sign-in/callback", params={**asked, "code": "two"}, headers={"Cookie": cookies})
    assert again.status_code == 401
    assert "used already" in again.text
    assert len(provider.asked) == 1, "the provider is not even asked"


async def test_another_browsers_sign_in_is_not_mine(services: BuiltServices) -> None:
    """Login CSRF: the attacker begins, and lets the victim come back with the attacker's code."""
    async with browser_for(services) as attacker, browser_for(services) as victim:
        theirs = await choose(attacker, await ask_to_sign_in(attacker), "vic")
        answer = await victim.get(theirs)
        assert (answer.status_code, signed_in(victim)) == (401, False)
        # nor with an attempt of the victim's own open at the same time
        await ask_to_sign_in(victim)
        answer = await victim.get(theirs)
        assert (answer.status_code, signed_in(victim)) == (401, False)


async def test_an_id_token_of_another_sign_in_is_refused(staff: httpx.AsyncClient, provider: Provider) -> None:
    first = query_of(await ask_to_sign_in(staff))
    second = query_of(await ask_to_sign_in(staff))
    for nonce in (first["nonce"], "", None):
        provider.nonce = nonce
        answer = await staff.get("/console/sign-in/callback", params={"code": "c", "state": second["state"]})
        assert (answer.status_code, signed_in(staff)) == (401, False)
        second = query_of(await ask_to_sign_in(staff))


async def test_a_planted_session_is_not_the_one_that_is_signed_in(services: BuiltServices) -> None:
    """Fixation: the attacker plants a cookie, of a session of theirs or made up, and waits for the victim."""
    async with browser_for(services) as attacker, browser_for(services) as victim:
        await sign_in_as(attacker, "vic")
        for planted in (attacker.cookies[COOKIE], "A" * 43, "x"):
            victim.cookies.clear()
            victim.cookies.set(COOKIE, planted, domain="127.0.0.1", path="/")
            back = await sign_in_as(victim, "max")
            assert back.status_code == 303
            fresh = [value.split(";")[0] for value in back.headers.get_list("set-cookie") if value.startswith(COOKIE)]
            assert fresh != [f"{COOKIE}={planted}"]
            victim.cookies.clear()
            shown = await victim.get("/console", headers={"Cookie": f"{COOKIE}={planted}"})
            assert shown.status_code == 303, "what was planted opens nothing"


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str)
async def test_another_site_chooses_nobody(browser: httpx.AsyncClient, headers: dict[str, str]) -> None:
    asked = query_of(await ask_to_sign_in(browser))
    answer = await browser.post("/issuer/authorize", data={**asked, "who": "root"}, headers=headers)
    assert answer.status_code == 403
    answer = await browser.post("/issuer/device", data={"user_code": "BCDF-GHJK"}, headers=headers)
    assert answer.status_code == 403


# --- where one returns to


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http://evil.example/console",
        "https:evil.example",
        "javascript:alert(1)",
        "/console/%2f%2fevil.example",
        "/console//evil.example",
        "/console/..//evil.example",
        "/console/%2e%2e//evil.example",
        "/console/%5cevil.example",
        "/console/%255cevil.example",
        "/console/%25252f%25252fevil",
        "/console\t//evil.example",
        "/console/x\r\nSet-Cookie: a=b",
        "/console/x%0d%0aSet-Cookie:a=b",
        "/console@evil.example",
        "/consolex",
        "//console/x",
        "/console/sign-in?next=/console/sign-in",
        "/console/\u2044evil",
        "/api/v1/me",
        "/console/" + "x" * 2_000,
        "",
        None,
    ],
    ids=repr,
)
def test_a_link_leads_back_to_this_console_only(target: str | None) -> None:
    assert page_to_return_to(target) == "/console"


@pytest.mark.parametrize(
    "page",
    [
        "/console",
        "/console/approvals",
        "/console/models/credit%20limit/versions/3",
        "/console/approvals?cursor=a%2Fb%3D%3D",
        "/console?search=http://x",
    ],
)
def test_pages_of_the_console_are_returned_to(page: str) -> None:
    assert page_to_return_to(page) == page


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "/%2fevil.example", "https://evil.example"])
async def test_no_door_redirects_to_another_site(
    browser: httpx.AsyncClient, token_for: Callable[..., str], target: str
) -> None:
    back = await sign_in_as(browser, "max", target)
    assert back.headers["location"] == "/console"
    page = await browser.get("/console/sign-in", params={"next": target})
    assert "evil" not in page.text
    query = urlencode({"next": target})
    pasted = await browser.post(f"/console/sign-in?{query}", data={"token": token_for("ana@company.com", "viewer")})
    assert pasted.headers["location"] == "/console"
    out = await browser.get("/issuer/end-session", params={"post_logout_redirect_uri": target, "state": "//x"})
    assert out.headers["location"].endswith("/console/signed-out")


async def test_the_page_to_return_to_cannot_be_changed_on_the_way(browser: httpx.AsyncClient) -> None:
    sent = query_of(await ask_to_sign_in(browser))
    attempt = _attempt(browser, sent["state"])
    changed = Attempt(attempt.secret, "//evil.example", attempt.kept, attempt.began)
    assert Attempt.read(changed.cookie(), sent["state"], time.time()) is None
    assert Attempt.read(attempt.cookie(), sent["state"], time.time() + 601) is None
    for broken in ("", "x", "W10", "e30", attempt.cookie()[:-4], "A" * 10_000):
        assert Attempt.read(broken, sent["state"], time.time()) is None


# --- the provider and who claims to be it


async def come_back(client: httpx.AsyncClient, provider: Provider, **more: str) -> httpx.Response:
    sent = query_of(await ask_to_sign_in(client))
    provider.nonce = sent["nonce"]
    return await client.get("/console/sign-in/callback", params={"code": "c", "state": sent["state"], **more})


async def test_an_answer_of_another_provider_is_refused(staff: httpx.AsyncClient, provider: Provider) -> None:
    """Mix-up (RFC 9207): the code is not sent to a token endpoint it is not of."""
    answer = await come_back(staff, provider, iss="https://evil.example")
    assert (answer.status_code, signed_in(staff), provider.asked) == (401, False, [])
    assert (await come_back(staff, provider, iss=provider.issuer)).status_code == 303


async def test_the_embedded_issuer_must_name_itself(browser: httpx.AsyncClient) -> None:
    back = await choose(browser, await ask_to_sign_in(browser), "max")
    without = back.partition("&iss=")[0]
    answer = await browser.get(without)
    assert (answer.status_code, signed_in(browser)) == (401, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"exp": 1},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"nonce": None},
        {"nonce": ["x"]},
        {"events": {LOGOUT: {}}},
        {"tenant": ["a", "b"]},
    ],
    ids=str,
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    staff: httpx.AsyncClient, provider: Provider, changes: dict[str, Any]
) -> None:
    provider.changes = changes
    assert (await come_back(staff, provider)).status_code == 401
    assert not signed_in(staff)


async def test_a_token_of_another_key_is_refused(staff: httpx.AsyncClient, provider: Provider) -> None:
    assert (await come_back(staff, provider)).status_code == 303
    staff.cookies.clear()
    # the same key id, another key: what discovery publishes stays
    right, provider.key = provider.key, ECKey.generate_key("P-256", {"kid": provider.key.kid})
    try:
        answer = await come_back(staff, provider)
    finally:
        provider.key = right
    assert (answer.status_code, signed_in(staff)) == (401, False)


@pytest.mark.parametrize(
    "more", [{"code": ["a", "b"]}, {"state": ["s", "s"]}, {"code": "c", "iss": ["a", "b"]}], ids=str
)
async def test_a_parameter_that_is_there_twice_is_refused(
    staff: httpx.AsyncClient, provider: Provider, more: dict[str, Any]
) -> None:
    sent = query_of(await ask_to_sign_in(staff))
    provider.nonce = sent["nonce"]
    asked = {"code": "c", "state": sent["state"], **more}
    answer = await staff.get("/console/sign-in/callback", params=asked)
    assert (answer.status_code, signed_in(staff), provider.asked) == (400, False, [])


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "code_challenge", "state"])
async def test_the_issuer_refuses_what_is_said_twice(browser: httpx.AsyncClient, name: str) -> None:
    asked = query_of(await ask_to_sign_in(browser))
    doubled = [*asked.items(), (name, "another")]
    assert (await browser.get("/issuer/authorize", params=doubled)).status_code == 400
    _, _, form = await _code(browser)
    content = urlencode([*form.items(), ("code", "another")])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await browser.post("/issuer/token", content=content, headers=headers)).json() == {
        "error": "invalid_request"
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "ftp://x"},
        {"token_endpoint": None},
        {"code_challenge_methods_supported": ["plain"]},
    ],
    ids=str,
)
async def test_a_discovery_document_that_does_not_fit_sends_nobody_anywhere(
    staff: httpx.AsyncClient, provider: Provider, changes: dict[str, Any]
) -> None:
    provider.metadata_changes = changes
    assert (await staff.get("/console/sign-in/begin")).status_code == 503


async def test_an_error_of_the_provider_is_a_page_without_its_words(
    staff: httpx.AsyncClient, provider: Provider
) -> None:
    answer = await come_back(staff, provider, error="access_denied", error_description="<script>pay me</script>")
    assert answer.status_code == 401
    assert "pay me" not in answer.text


# --- back-channel logout


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"iat": 1},
        {"iat": 4_000_000_000},
        {"iat": None},
        {"exp": 1},
        {"jti": None},
        {"events": None},
        {"events": {"something": {}}},
        {"events": {LOGOUT: "x"}},
        {"nonce": "n"},
        {"sid": None},
    ],
    ids=str,
)
async def test_a_logout_token_that_is_not_one_ends_nothing(
    staff: httpx.AsyncClient, provider: Provider, changes: dict[str, Any]
) -> None:
    await come_back(staff, provider)
    answer = await staff.post(OFF, data={"logout_token": provider.logout_token(**changes)})
    assert answer.status_code in {400, 401}
    assert (await staff.get("/console")).status_code == 200


async def test_a_logout_token_counts_once(staff: httpx.AsyncClient, provider: Provider) -> None:
    token = provider.logout_token()
    assert (await staff.post(OFF, data={"logout_token": token})).status_code == 200
    await come_back(staff, provider)
    assert (await staff.post(OFF, data={"logout_token": token})).status_code == 400
    assert (await staff.get("/console")).status_code == 200
    for nonsense in ("", "a.b.c", "x" * 10_000):
        assert (await staff.post(OFF, data={"logout_token": nonsense})).status_code in {401, 422}


async def test_an_id_token_ends_nobodys_session(staff: httpx.AsyncClient, provider: Provider) -> None:
    await come_back(staff, provider)
    assert (await staff.post(OFF, data={"logout_token": provider.id_token(None)})).status_code == 401
    assert (await staff.get("/console")).status_code == 200


# --- production, other machines


async def test_in_production_nobody_pastes_a_token_and_there_is_no_embedded_issuer(
    settings: Settings, services: BuiltServices
) -> None:
    changes = {
        "environment": "production",
        "issuer": "https://login.example",
        "public_url": "https://platform.localhost",
    }
    built = bootstrap.build(settings.model_copy(update=changes))
    async with browser_for(built) as client:
        assert "Token" not in (await client.get("/console/sign-in")).text
        assert (await client.post("/console/sign-in", data={"token": "x"})).status_code == 404
        for path in ("/issuer/authorize", "/issuer/device", "/issuer/end-session"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/issuer/token", data={"client_id": "mlops-cli"})).status_code == 404
        assert (await client.post("/issuer/device_authorization", data={"client_id": "mlops-cli"})).status_code == 404
    await built.database.dispose()


async def test_over_https_the_cookies_are_bound_to_this_host(
    settings: Settings, services: BuiltServices, provider: Provider
) -> None:
    changes = {
        "issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "public_url": "https://platform.localhost",
    }
    built = bootstrap.build(settings.model_copy(update=changes))
    async with browser_for(built) as client:
        begun = await client.get("/console/sign-in/begin")
        sent = query_of(begun.headers["location"])
        provider.nonce = sent["nonce"]
        back = await client.get("/console/sign-in/callback", params={"code": "c", "state": sent["state"]})
        cookies = begun.headers.get_list("set-cookie") + back.headers.get_list("set-cookie")
        assert len(cookies) == 3
        for cookie in cookies:
            lowered = cookie.lower()
            assert cookie.startswith("__Host-mlops_")
            assert all(part in lowered for part in ("secure", "httponly", "samesite=lax", "path=/"))
            assert "domain" not in lowered
        plain = {"Cookie": f"{COOKIE}={client.cookies['__Host-mlops_session']}"}
        client.cookies.clear()
        assert (await client.get("/console", headers=plain)).status_code == 303
    await built.database.dispose()


@pytest.mark.parametrize("where", ["10.0.0.7", "192.168.1.9", "2001:db8::1"])
async def test_the_demonstration_people_are_for_this_machine(services: BuiltServices, where: str) -> None:
    application = compose(services)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False, client=(where, 1))
    async with httpx.AsyncClient(transport=transport, base_url=services.settings.url) as client:
        assert (await client.get(await ask_to_sign_in(client))).status_code == 403
        assert (await client.post("/issuer/device", data={"user_code": "BCDF-GHJK"})).status_code == 403
    await application.stop()


# --- devices


async def _device(browser: httpx.AsyncClient) -> dict[str, Any]:
    answer = await browser.post("/issuer/device_authorization", data={"client_id": "mlops-cli", "scope": "openid"})
    assert answer.status_code == 200
    return dict(answer.json())


def _poll(device: dict[str, Any]) -> dict[str, str]:
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "mlops-cli",
        "device_code": device["device_code"],
    }


async def test_a_device_is_signed_in_by_a_person_who_sees_what_it_is(
    browser: httpx.AsyncClient, services: BuiltServices
) -> None:
    device = await _device(browser)
    assert "verification_uri_complete" not in device
    assert (await browser.post("/issuer/token", data=_poll(device))).json() == {"error": "authorization_pending"}
    assert (await browser.post("/issuer/token", data=_poll(device))).json() == {"error": "slow_down"}
    page = await browser.post("/issuer/device", data={"user_code": device["user_code"].lower()})
    assert "mlops, the command line" in page.text
    assert device["user_code"] in page.text
    assert "127.0.0.1" in page.text
    done = await browser.post("/issuer/device", data={"user_code": device["user_code"], "who": "max"})
    assert "signed in as Max" in done.text
    await patiently(services, timedelta(seconds=11))
    answer = (await browser.post("/issuer/token", data=_poll(device))).json()
    me = await browser.get("/api/v1/me", headers={"Authorization": f"Bearer {answer['access_token']}"})
    assert me.json()["subject"] == "max@company.com"
    await patiently(services, timedelta(seconds=30))
    assert (await browser.post("/issuer/token", data=_poll(device))).json() == {"error": "invalid_grant"}, "once"


async def test_a_person_who_did_not_ask_refuses(browser: httpx.AsyncClient, services: BuiltServices) -> None:
    device = await _device(browser)
    form = {"user_code": device["user_code"], "decision": "refuse"}
    assert "Nothing was signed in" in (await browser.post("/issuer/device", data=form)).text
    assert (await browser.post("/issuer/token", data=_poll(device))).json() == {"error": "access_denied"}
    assert (await browser.post("/issuer/device", data=form)).status_code == 404, "a settled code is none any more"


async def test_codes_are_not_guessed(browser: httpx.AsyncClient) -> None:
    device = await _device(browser)
    for number in range(10):
        wrong = await browser.post("/issuer/device", data={"user_code": f"BCDF-GHJ{'KLMNPQRSTV'[number]}"})
        assert wrong.status_code == 404
    blocked = await browser.post("/issuer/device", data={"user_code": device["user_code"], "who": "root"})
    assert blocked.status_code == 429
    assert (await browser.post("/issuer/token", data=_poll(device))).json() == {"error": "authorization_pending"}


async def test_a_code_ends_after_ten_minutes(browser: httpx.AsyncClient, services: BuiltServices) -> None:
    device = await _device(browser)
    assert device["expires_in"] == 600
    await older(services, timedelta(seconds=601))
    typed = await browser.post("/issuer/device", data={"user_code": device["user_code"], "who": "max"})
    assert typed.status_code == 404
    assert (await browser.post("/issuer/token", data=_poll(device))).json() == {"error": "expired_token"}


async def test_devices_that_wait_are_bounded(browser: httpx.AsyncClient) -> None:
    for _ in range(50):
        await _device(browser)
    answer = await browser.post("/issuer/device_authorization", data={"client_id": "mlops-cli"})
    assert answer.status_code == 429
    other = await browser.post("/issuer/device_authorization", data={"client_id": "mlops-console"})
    assert other.status_code == 401


async def test_a_refresh_token_that_comes_twice_ends_the_sign_in(
    browser: httpx.AsyncClient, services: BuiltServices
) -> None:
    device = await _device(browser)
    await browser.post("/issuer/device", data={"user_code": device["user_code"], "who": "max"})
    first = (await browser.post("/issuer/token", data=_poll(device))).json()["refresh_token"]

    async def renew(token: str) -> dict[str, Any]:
        form = {"grant_type": "refresh_token", "client_id": "mlops-cli", "refresh_token": token}
        return dict((await browser.post("/issuer/token", data=form)).json())

    second = (await renew(first))["refresh_token"]
    assert await renew(first) == {"error": "invalid_grant"}
    assert await renew(second) == {"error": "invalid_grant"}, "who has the stolen one has nothing either"
