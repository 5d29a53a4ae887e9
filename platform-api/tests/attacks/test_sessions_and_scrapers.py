"""Signing out ends a session everywhere, other sites sign nobody in, foreign names get no pages, metrics are for scrapers."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.sessions import COOKIE, form_token
from mlops_platform.identity import session_cookie, sessions
from mlops_platform.identity.hosts import HostNotTrusted, TrustedHosts
from mlops_platform.identity.principal import Role
from mlops_platform.identity.scrape_token import scrape_token
from mlops_platform.identity.tables import BrowserSessionRow
from mlops_platform.kit.clock import now
from tests.conftest import client_for


async def _signed_in(client: httpx.AsyncClient, token: str) -> str:
    answer = await client.post("/console/sign-in", data={"token": token})
    assert answer.status_code == 303, answer.text
    return str(client.cookies[COOKIE])


def _cookie(value: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={value}"}


async def test_a_cookie_kept_by_a_thief_opens_nothing_after_signing_out(
    services: BuiltServices, token_for: Callable[..., str]
) -> None:
    token = token_for("ana@company.com", "viewer")
    # two API processes, as far as a session is concerned
    async with client_for(services) as one, client_for(services) as other:
        stolen = await _signed_in(one, token)
        one.cookies.clear()
        assert (await other.get("/console", headers=_cookie(stolen))).status_code == 200
        assert (await one.post("/console/sign-out", headers=_cookie(stolen))).status_code == 303
        for client in (one, other):
            answer = await client.get("/console", headers=_cookie(stolen))
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
            form = {"form_token": form_token(stolen), "decision": "approve"}
            posted = await client.post("/console/approvals/x", headers=_cookie(stolen), data=form)
            assert posted.status_code == 303
        # it was that session which ended: the same person signs in again, twice, and one ending leaves the other
        again, another = await _signed_in(one, token), await _signed_in(other, token)
        assert len({stolen, again, another}) == 3
        await other.post("/console/sign-out")
        assert (await one.get("/console")).status_code == 200


async def test_sessions_are_forgotten_a_day_after_their_end(
    services: BuiltServices, token_for: Callable[..., str]
) -> None:
    token = token_for("ana@company.com", "viewer")
    verified = await services.identity.authenticate(token)
    cookies = [await services.sessions.open_with_token(token, verified) for _ in range(3)]
    old, young, _ = cookies
    for ended in (old, young, young):
        await services.sessions.end(ended, "signed_out")
    async with services.database.session() as session:
        row = await session.get(BrowserSessionRow, session_cookie.id_of(old))
        assert row is not None
        row.ended_at = now() - timedelta(hours=25)
    async with services.database.session() as session:
        await sessions.forget(session, services.sessions.limits)
    assert [await services.sessions.belongs_to(cookie) for cookie in cookies] == [
        None,
        ("ana@company.com", False),
        ("ana@company.com", True),
    ]


async def test_a_token_alone_is_no_session_and_a_session_is_no_token(
    client: httpx.AsyncClient, token_for: Callable[..., str]
) -> None:
    token = token_for("ana@company.com", "viewer")
    assert (await client.get("/console", headers=_cookie(token))).status_code == 303
    cookie = await _signed_in(client, token)
    assert token not in cookie
    assert (await client.get("/api/v1/me", headers={"Authorization": f"Bearer {cookie}"})).status_code == 401


async def test_a_row_alone_opens_nothing_and_raises_nobody(
    services: BuiltServices, client: httpx.AsyncClient, token_for: Callable[..., str]
) -> None:
    """Who writes the database neither signs in nor becomes somebody else."""
    token = token_for("ana@company.com", "viewer")
    cookie = await _signed_in(client, token)
    async with services.database.session() as session:
        row = await session.get(BrowserSessionRow, session_cookie.id_of(cookie))
        assert row is not None
        assert token.encode() not in row.sealed
        assert cookie not in {row.id_hash, row.subject, row.kind}
        row.subject = "max@company.com"
        planted = session_cookie.new_cookie()
        content = {key: getattr(row, key) for key in BrowserSessionRow.__table__.columns.keys()}  # noqa: SIM118
        session.add(BrowserSessionRow(**{**content, "id_hash": session_cookie.id_of(planted)}))
    assert "ana@company.com" in (await client.get("/console")).text
    assert (await client.get("/console", headers=_cookie(planted))).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://platform.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out"])
async def test_another_site_signs_nobody_in_or_out(
    client: httpx.AsyncClient, token_for: Callable[..., str], headers: dict[str, str], path: str
) -> None:
    data = {"token": token_for("eve@evil.example", "viewer")}
    answer = await client.post(path, data=data, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    own = await client.post(path, data=data, headers={"Origin": "http://platform", "Sec-Fetch-Site": "same-origin"})
    assert own.status_code == 303


async def test_a_foreign_name_gets_no_page_and_no_redirect(client: httpx.AsyncClient) -> None:
    for path in ("/console/", "/console/sign-in", "/", "/api/v1/me", "/issuer/jwks.json"):
        answer = await client.get(path, headers={"Host": "evil.example"})
        assert (answer.status_code, answer.json()["type"]) == (421, "/problems/host-not-trusted")
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("mlops.example.com", True),
        ("MLOPS.example.com:443", True),
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("platform-api.mlops-platform.svc", True),
        ("platform-api.mlops-platform.svc.cluster.local:8000", True),
        ("a.models.example.com", True),
        ("", True),
        ("evil.example", False),
        ("mlops.example.com.evil.example", False),
        ("models.example.com.evil.example", False),
        ("mlops.example.com@evil.example", False),
        ("evil.example#mlops.example.com", False),
        ("evil.example/mlops.example.com", False),
        ("mlops.example.com:99999999", False),
        ("127.0.0.1.evil.example", False),
        ("svc.evil.example", False),
        ("\xff.example", False),
    ],
)
def test_which_names_are_ours(host: str, trusted: bool) -> None:
    hosts = TrustedHosts("https://mlops.example.com", ["*.models.example.com"])
    if trusted:
        hosts.check(host.encode("latin-1"))
    else:
        with pytest.raises(HostNotTrusted):
            hosts.check(host.encode("latin-1"))


async def test_metrics_are_for_who_has_the_scrape_token(
    client: httpx.AsyncClient, services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> None:
    token = scrape_token(services.settings.scrape_token)
    assert services.settings.scrape_token.stat().st_mode & 0o777 == 0o600
    for who in ({}, {"Authorization": f"Bearer {token}x"}):
        assert (await client.get("/metrics", headers=who)).status_code == 401
    everybody = [role.value for role in Role if role is not Role.PLATFORM_ADMIN]
    assert (await client.get("/metrics", headers=as_("eve@company.com", *everybody))).status_code == 403
    assert (await client.get("/metrics", headers=as_("root@company.com", "platform-admin"))).status_code == 200
    scraper = {"Authorization": f"Bearer {token}"}
    assert "http_requests_total" in (await client.get("/metrics", headers=scraper)).text
    # it opens nothing else
    assert (await client.get("/api/v1/me", headers=scraper)).status_code == 401


async def test_readiness_has_details_for_scrapers_only(client: httpx.AsyncClient, services: BuiltServices) -> None:
    answer = await client.get("/ready")
    assert answer.status_code == 503, "MLflow does not run here"
    assert answer.json() == {"status": "not_ready", "checks": {}, "backends": {}}
    scraper = {"Authorization": f"Bearer {scrape_token(services.settings.scrape_token)}"}
    assert not (await client.get("/ready", headers=scraper)).json()["checks"]["mlflow"]["ok"]
