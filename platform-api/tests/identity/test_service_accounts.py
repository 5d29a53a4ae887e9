"""Programs call as themselves: by a secret at the embedded issuer, or by a token that another issuer signed for a workload."""

import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import ValidationError

from mlops_platform import bootstrap
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.cli import api
from mlops_platform.cli.exits import CommandFailed
from mlops_platform.database.session import Database
from mlops_platform.identity.accounts_file import AccountsFile, ServiceAccountsUnreadable
from mlops_platform.identity.claim_names import ClaimNames
from mlops_platform.identity.development import DevelopmentIssuer, DevelopmentIssuerRefused
from mlops_platform.identity.service_accounts import ServiceAccount, Workload, WorkloadIssuer
from mlops_platform.identity.tokens import InvalidToken, TokenVerifier, principal_from
from mlops_platform.local import doctor, mlflow_plugin, service_login
from mlops_platform.local.login import ProviderRefused
from mlops_platform.settings import Settings
from tests.conftest import client_for

from ..support.provider import Provider, running_provider

SECRET = "s" * 20 + "-of a program: 100%"  # what a header must carry encoded
BRANCH = "repo:company/churn:ref:refs/heads/main"
AUDIENCE = "mlops-platform"


@pytest.fixture(scope="module")
def workloads() -> Iterator[Provider]:
    """The issuer of workloads, a real one over HTTP."""
    with running_provider() as provider:
        yield provider


@pytest.fixture
def file(tmp_path: Path, workloads: Provider) -> Path:
    path = tmp_path / "accounts" / "accounts.yaml"
    path.parent.mkdir()
    by_secret = {"name": "ci-churn", "tenant": "risk", "secret_sha256": sha256(SECRET.encode()).hexdigest()}
    by_workload = {
        "name": "deploy-churn",
        "tenant": "risk",
        "roles": ["ml-engineer"],
        "workloads": [{"issuer": workloads.issuer, "subject": "repo:company/churn:ref:refs/heads/*"}],
    }
    issuers = [{"issuer": workloads.issuer, "audience": AUDIENCE}]
    path.write_text(yaml.safe_dump({"issuers": issuers, "accounts": [by_secret, by_workload]}))
    return path


@pytest.fixture
async def client(settings: Settings, services: BuiltServices, file: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a platform that knows the accounts."""
    built = bootstrap.build(settings.model_copy(update={"service_accounts_file": file}))
    async with client_for(built) as one:
        yield one
    await built.database.dispose()


async def ask(client: httpx.AsyncClient, **sent: str) -> httpx.Response:
    return await client.post("/issuer/token", data={"grant_type": "client_credentials", **sent})


async def me(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def workload_token(issuer: Provider, **changes: Any) -> str:
    now = int(time.time())
    right = {"iss": issuer.issuer, "aud": AUDIENCE, "sub": BRANCH, "iat": now, "exp": now + 300}
    return issuer.sign({name: value for name, value in {**right, **changes}.items() if value is not None})


async def test_a_secret_gives_a_short_token_of_a_service(client: httpx.AsyncClient) -> None:
    answer = await ask(client, client_id="ci-churn", client_secret=SECRET)
    assert (answer.status_code, answer.json()["expires_in"], "refresh_token" in answer.json()) == (200, 900, False)
    assert answer.headers["cache-control"] == "no-store"
    assert (await me(client, answer.json()["access_token"])).json() == {
        "subject": "service:ci-churn",
        "roles": ["service"],
        "tenant": "risk",
        "kind": "service",
        "elevations": [],
    }


async def test_the_secret_may_come_in_the_header_and_in_one_place_only(client: httpx.AsyncClient) -> None:
    basic = {"Authorization": f"Basic {b64encode(b'ci-churn:' + SECRET.replace('%', '%25').encode()).decode()}"}
    asked = {"grant_type": "client_credentials"}
    assert (await client.post("/issuer/token", data=asked, headers=basic)).status_code == 200
    twice = await client.post("/issuer/token", data={**asked, "client_secret": SECRET}, headers=basic)
    assert (twice.status_code, twice.json()) == (400, {"error": "invalid_request"})
    other = await client.post("/issuer/token", data={**asked, "client_id": "deploy-churn"}, headers=basic)
    assert other.json() == {"error": "invalid_request"}


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        ({"client_id": "ci-churn", "client_secret": "wrong" * 10}, 401, "invalid_client"),
        ({"client_id": "ci-churn", "client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "nobody", "client_secret": SECRET}, 401, "invalid_client"),
        # it has no secret, so none proves it
        ({"client_id": "deploy-churn", "client_secret": SECRET}, 401, "invalid_client"),
        ({"client_id": "mlops-console", "client_secret": SECRET}, 401, "invalid_client"),
        ({"client_id": "ci-churn"}, 400, "invalid_request"),
        ({"client_id": "ci-churn", "client_secret": SECRET, "scope": "manager"}, 400, "invalid_scope"),
        ({"client_id": "ci-churn", "client_secret": SECRET, "audience": "bank"}, 400, "invalid_target"),
        ({"client_id": "ci-churn", "client_secret": SECRET, "resource": "https://bank"}, 400, "invalid_target"),
        ({"client_id": "ci-churn", "client_secret": SECRET, "client_assertion": "x"}, 400, "invalid_request"),
    ],
    ids=str,
)
async def test_what_proves_no_account_gives_no_token(
    client: httpx.AsyncClient, sent: dict[str, str], status: int, word: str
) -> None:
    answer = await ask(client, **sent)
    assert (answer.status_code, answer.json()) == (status, {"error": word})


async def test_an_assertion_is_no_credential_however_often_it_comes(
    client: httpx.AsyncClient, workloads: Provider
) -> None:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    for _ in range(2):
        answer = await ask(client, client_assertion_type=kind, client_assertion=workload_token(workloads))
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


async def test_a_workload_calls_with_its_own_token_and_is_what_the_file_says(
    client: httpx.AsyncClient, workloads: Provider
) -> None:
    # what such a token says of itself counts nothing: a job may be given any claim by who starts it
    token = workload_token(workloads, roles=["platform-admin"], tenant="bank", email="ana@company.com")
    answer = await me(client, token)
    assert answer.json() == {
        "subject": "service:deploy-churn",
        "roles": ["ml-engineer", "service"],
        "tenant": "risk",
        "kind": "service",
        "elevations": [],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"sub": "repo:company/other:ref:refs/heads/main"},
        {"sub": "repo:company/churn:pull_request"},
        {"sub": "repo:company/churn:ref:refs/heads/main:more"},
        {"sub": "repo:company/churn:ref:refs/heads"},
        {"sub": f"x{BRANCH}"},
        {"sub": BRANCH.upper()},
        {"sub": None},
        {"exp": None},
        {"exp": 1},
        {"iat": None},
        {"exp": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"iss": "https://elsewhere.example"},
    ],
    ids=str,
)
async def test_another_workload_audience_or_time_is_refused(
    client: httpx.AsyncClient, workloads: Provider, changes: dict[str, Any]
) -> None:
    answer = await me(client, workload_token(workloads, **changes))
    assert answer.status_code == 401
    assert answer.json()["type"] in {"/problems/invalid-token", "/problems/unknown-signing-key"}


async def test_nobody_signs_in_the_name_of_another_issuer(
    client: httpx.AsyncClient, workloads: Provider, settings: Settings
) -> None:
    own = DevelopmentIssuer.from_settings(settings)
    # the issuer of workloads makes no people, and the platform's own issuer no workloads
    as_person = workload_token(workloads, iss=own.issuer, sub="ana@company.com", roles=["manager"])
    as_workload = own.sign({"iss": workloads.issuer, "sub": BRANCH}, AUDIENCE, 300)
    assert [(await me(client, token)).status_code for token in (as_person, as_workload)] == [401, 401]


async def test_two_accounts_for_one_workload_are_none(
    file: Path, client: httpx.AsyncClient, workloads: Provider
) -> None:
    content = yaml.safe_load(file.read_text())
    content["accounts"].append({**content["accounts"][1], "name": "second"})
    file.write_text(yaml.safe_dump(content))
    answer = await me(client, workload_token(workloads))
    assert answer.status_code == 401
    assert "Two service accounts" in answer.json()["detail"]


async def test_the_file_is_read_again_and_a_broken_one_stops_services_and_nobody_else(
    file: Path, client: httpx.AsyncClient, workloads: Provider, as_: Callable[..., dict[str, str]]
) -> None:
    before = file.read_text()
    file.write_text("accounts: [{name: UPPER}]")
    answer = await me(client, workload_token(workloads))
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/service-accounts-unreadable")
    assert (await ask(client, client_id="ci-churn", client_secret=SECRET)).status_code == 503
    assert (await client.get("/api/v1/me", headers=as_("ana@company.com"))).status_code == 200
    file.write_text(before)
    assert (await me(client, workload_token(workloads))).status_code == 200
    file.write_text(yaml.safe_dump({**yaml.safe_load(before), "accounts": []}))
    assert (await me(client, workload_token(workloads, jti="new"))).status_code == 401
    assert (await ask(client, client_id="ci-churn", client_secret=SECRET)).status_code == 401


async def test_a_file_that_cannot_be_used_stops_the_start(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with pytest.raises(ServiceAccountsUnreadable, match="it is not there"):
        bootstrap.build_identity(
            settings.model_copy(update={"service_accounts_file": tmp_path / "none.yaml"}), database
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"roles": ["manager"]},
        {"roles": ["platform-admin"]},
        {"roles": ["service", "cab-member"]},
        {"name": "ana@company.com"},
        {"name": "service:other"},
        {"tenant": "no team"},
        {"secret_sha256": "in clear"},
        {"secret": SECRET},
        {"workloads": [{"issuer": "https://unknown.example", "subject": BRANCH}]},
        {"workloads": [{"issuer": "https://tokens.example", "subject": "*"}]},
        {"workloads": [{"issuer": "https://tokens.example", "subject": "repo:*:ref:refs/heads/main"}]},
        {"workloads": [{"issuer": "https://tokens.example", "subject": "repo:company/*"}]},
    ],
    ids=str,
)
def test_an_account_has_no_role_or_name_of_people_and_no_workload_of_everybody(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "accounts.yaml"
    issuers = [{"issuer": "https://tokens.example", "audience": AUDIENCE}]
    path.write_text(yaml.safe_dump({"issuers": issuers, "accounts": [{"name": "one", **changes}]}))
    with pytest.raises(ServiceAccountsUnreadable) as refused:
        AccountsFile(path).accounts()
    assert SECRET not in refused.value.detail


def test_a_wildcard_stops_at_a_colon_and_means_nothing_else() -> None:
    one = Workload(issuer="https://t", subject="repo:a/b:environment:prod.*")
    assert one.fits("https://t", "repo:a/b:environment:prod.eu")
    assert not one.fits("https://t", "repo:a/b:environment:prod-eu")
    assert not one.fits("https://t", "repo:a/b:environment:prod.eu:x")
    assert not one.fits("https://other", "repo:a/b:environment:prod.eu")


def test_an_issuer_in_the_clear_is_refused() -> None:
    with pytest.raises(ValidationError, match="https"):
        WorkloadIssuer(issuer="http://tokens.example", audience="x")


async def test_a_service_decides_on_nothing_whatever_its_token_says(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer
) -> None:
    claims = {**ServiceAccount(name="ci").claims(), "roles": ["service", "manager"]}
    token = issuer.sign(claims, AUDIENCE, 60)
    answer = await client.post(
        "/api/v1/approvals/none/decisions", json={"decision": "approve"}, headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/services-do-not-decide")


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"preferred_username": "service-account-ci"}, "service"),
        ({"preferred_username": "ana"}, "human"),
        ({"realm": {"uses": ["people", "machine"]}}, "service"),
        ({"cid": "u-1"}, "service"),
        ({"cid": "console"}, "human"),
        ({"client_id": "console"}, "human"),
    ],
    ids=str,
)
def test_settings_say_which_claims_mark_a_program(claims: dict[str, Any], kind: str) -> None:
    names = ClaimNames(services={"preferred_username": "service-account-*", "realm.uses": "machine"})
    assert principal_from({"sub": "u-1", **claims}, names).kind == kind


async def test_no_issuer_but_ours_gives_the_name_of_an_account(
    settings: Settings, issuer: DevelopmentIssuer, client: httpx.AsyncClient
) -> None:
    # a person who chose that name
    assert (await me(client, issuer.mint("service:ci-churn", ["manager"]))).status_code == 401
    outside = TokenVerifier(issuer.issuer, AUDIENCE, 30)
    with pytest.raises(InvalidToken, match="name of a service account"):
        outside.verify(issuer.mint("service:ci-churn", ["service"]), issuer.keys())


async def test_the_embedded_issuer_gives_services_nothing_in_production(settings: Settings, database: Database) -> None:
    with pytest.raises(DevelopmentIssuerRefused):
        bootstrap.build_identity(settings.model_copy(update={"environment": "production"}), database)


def _as_client(monkeypatch: pytest.MonkeyPatch, platform: str, **more: str) -> None:
    values = {"MLOPS_URL": platform, "MLOPS_CLIENT_ID": "a b", "MLOPS_CLIENT_SECRET": SECRET, **more}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for name in ("MLOPS_TOKEN", "MLOPS_TOKEN_FILE"):
        if name not in more:
            monkeypatch.delenv(name, raising=False)


def test_the_command_line_signs_in_as_the_client_of_its_environment(
    workloads: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(api, "connection", api.Connection(home=tmp_path))
    _as_client(monkeypatch, workloads.issuer, MLOPS_CLIENT_SCOPE="api://mlops/.default")
    workloads.asked.clear()
    assert api.token() == api.token(), "one token serves many calls"
    (asked,) = workloads.asked
    encoded = b64encode(b"a+b:" + httpx.QueryParams({"": SECRET}).__str__().partition("=")[2].encode()).decode()
    assert asked == {
        "grant_type": "client_credentials",
        "audience": AUDIENCE,
        "scope": "api://mlops/.default",
        "authorization": f"Basic {encoded}",
    }
    assert SECRET not in repr(service_login.client())
    assert list(tmp_path.rglob("*")) == [], "nothing is written"
    monkeypatch.setenv("MLOPS_TOKEN_FILE", str(tmp_path / "projected"))
    (tmp_path / "projected").write_text("what the cluster renews\n")
    assert api.token() == "what the cluster renews"


def test_a_client_without_its_secret_is_told_so_and_is_nobody_else(
    workloads: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(api, "connection", api.Connection(home=tmp_path))
    _as_client(monkeypatch, workloads.issuer, MLOPS_CLIENT_SECRET="", MLOPS_MLFLOW_PUBLIC_URL="http://door")
    with pytest.raises(CommandFailed, match="MLOPS_CLIENT_SECRET"):
        api.token()
    with pytest.raises(ProviderRefused):
        service_login.client()
    with pytest.warns(UserWarning, match="MLOPS_CLIENT_SECRET"):
        assert mlflow_plugin.Tokens().for_server("http://door") is None


def test_mlflows_client_uses_the_same_client(workloads: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_client(monkeypatch, workloads.issuer, MLOPS_MLFLOW_PUBLIC_URL="http://door")
    tokens = mlflow_plugin.Tokens()
    assert tokens.for_server("http://door")
    assert tokens.for_server("http://elsewhere") is None


def test_doctor_reads_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SERVICE_ACCOUNTS_FILE", str(file))
    (found,) = doctor.service_accounts()
    assert (found.verdict, found.found) == ("ok", f"2 in {file}")
    monkeypatch.setenv("MLOPS_ISSUER", "https://company.example")
    (found,) = doctor.service_accounts()
    assert (found.verdict, "ci-churn" in found.found) == ("warn", True)
    file.write_text("accounts: 3")
    (found,) = doctor.service_accounts()
    assert found.verdict == "fail"
