"""MLflow's client finds and renews its token, and shows it to no other server."""

import os
import time
from pathlib import Path

import pytest
from requests import PreparedRequest

from mlops_platform.adapters.mlflow import credentials
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.tokens import TokenVerifier
from mlops_platform.local import mlflow_plugin, state
from mlops_platform.local.home import Home

DOOR, PLATFORM = "http://127.0.0.1:5999", "http://127.0.0.1:8999"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose platform says where it is."""
    place = Home(tmp_path / "home")
    place.create()
    state.write(place.run / "state.json", state.PlatformState(urls={"platform": PLATFORM, "mlflow": DOOR}))
    monkeypatch.setenv("MLOPS_HOME", str(place.folder))
    for name in ("MLOPS_TOKEN", "MLOPS_TOKEN_FILE", "MLOPS_PUBLIC_URL", "MLOPS_MLFLOW_PUBLIC_URL", "MLOPS_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def issuer(home: Home) -> DevelopmentIssuer:
    issuer = DevelopmentIssuer(home.folder / "keys", f"{PLATFORM}/issuer", "mlops-platform", "development")
    issuer.keys()
    return issuer


def _subject(issuer: DevelopmentIssuer, token: str | None) -> tuple[str, str]:
    assert token is not None
    verified = TokenVerifier(issuer.issuer, "mlops-platform", 0).verify(token, issuer.keys())
    return verified.principal.subject, verified.principal.tenant


def test_a_run_of_twelve_hours_with_tokens_of_one_hour_never_sends_an_ended_one(
    issuer: DevelopmentIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_TOKEN", issuer.mint("ana@company.com", ["data-scientist"], "risk", 3_600))
    clock = time.time()
    monkeypatch.setattr(time, "time", lambda: clock)
    tokens, sent = mlflow_plugin.Tokens(), set()
    for _ in range(12 * 60):
        token = tokens.for_server(DOOR)
        # the door verifies at the same moment, without any tolerance
        assert _subject(issuer, token) == ("ana@company.com", "risk")
        sent.add(token)
        clock += 60
    # renewed, and not at every request
    assert 12 <= len(sent) <= 16


def test_the_same_run_without_renewal_would_be_refused(
    issuer: DevelopmentIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, later = issuer.mint("ana@company.com", ["data-scientist"], "risk", 3_600), time.time() + 3_700
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Exception, match="expired"):
        _subject(issuer, token)


def test_without_any_token_one_is_made_for_this_user(issuer: DevelopmentIssuer) -> None:
    subject, tenant = _subject(issuer, mlflow_plugin.Tokens().for_server(DOOR))
    assert subject.endswith("@localhost")
    assert tenant == "default"


def test_a_token_that_was_made_for_one_home_is_not_sent_to_the_door_of_another(
    issuer: DevelopmentIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = mlflow_plugin.Tokens()
    first = tokens.for_server(DOOR)
    other, door = Home(tmp_path / "other"), "http://127.0.0.1:5998"
    other.create()
    state.write(other.run / "state.json", state.PlatformState(urls={"platform": PLATFORM, "mlflow": door}))
    theirs = DevelopmentIssuer(other.folder / "keys", f"{PLATFORM}/issuer", "mlops-platform", "development")
    theirs.keys()
    monkeypatch.setenv("MLOPS_HOME", str(other.folder))
    second = tokens.for_server(door)
    assert second != first
    _subject(theirs, second)
    assert tokens.for_server(DOOR) is None, "the home's door is another one now"


def test_another_issuers_token_is_sent_as_it_is_and_read_again_from_its_file(
    issuer: DevelopmentIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = DevelopmentIssuer(tmp_path / "company", "https://idp.company.com", "mlops-platform", "development")
    file = tmp_path / "token"
    monkeypatch.setenv("MLOPS_TOKEN_FILE", str(file))
    tokens = mlflow_plugin.Tokens()
    for lifetime in (60, 3_600):
        file.write_text(company.mint("ana@company.com", ["data-scientist"], "risk", lifetime))
        assert tokens.for_server(DOOR) == file.read_text()


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.W10.c", "a." + "W1tb" * 2000 + ".c"])
def test_what_is_no_token_breaks_nothing(home: Home, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("MLOPS_TOKEN", token or " ")
    assert mlflow_plugin.Tokens().for_server(DOOR) in {token, None}


def _completed(url: str, **headers: str) -> PreparedRequest:
    request = PreparedRequest()
    request.prepare(method="GET", url=url, headers=headers)
    return credentials.complete(request)


def test_a_credential_goes_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_FINDERS", [lambda server: "person" if server == DOOR else None])
    monkeypatch.setattr(credentials, "_INNER", {"http://127.0.0.1:5998": "secret"})
    assert _completed(f"{DOOR}/api").headers["Authorization"] == "Bearer person"
    assert _completed(f"{DOOR}/api", Authorization="Bearer mine").headers["Authorization"] == "Bearer mine"
    for other in (
        "http://evil.example/api",
        "https://127.0.0.1:5999/api",
        "http://127.0.0.1.evil.example:5999/api",
        "http://127.0.0.1:59990/api",
        f"http://evil.example/?{DOOR}",
        f"http://user@evil.example/#{DOOR}",
    ):
        assert "Authorization" not in _completed(other).headers, other
    inner = _completed("http://127.0.0.1:5998/api", Authorization="Bearer of-a-person")
    assert inner.headers["Authorization"] == "Bearer secret"


def test_an_artifact_of_the_inner_server_says_its_workspace_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_INNER", {"http://127.0.0.1:5998": None})
    store = "http://127.0.0.1:5998/api/2.0/mlflow-artifacts/artifacts"
    assert _completed(f"{store}/workspaces/risk/1/x").headers["X-MLFLOW-WORKSPACE"] == "risk"
    assert _completed(f"{store}?path=workspaces%2Frisk%2F1").headers["X-MLFLOW-WORKSPACE"] == "risk"
    assert "X-MLFLOW-WORKSPACE" not in _completed(f"{store}/1/x").headers
    chosen = _completed(f"{store}/workspaces/risk/1/x", **{"X-MLFLOW-WORKSPACE": "other"})
    assert chosen.headers["X-MLFLOW-WORKSPACE"] == "other"


def test_importing_mlflow_is_enough() -> None:
    import subprocess
    import sys

    code = "import mlflow, os; print(os.environ.get('MLFLOW_TRACKING_AUTH'))"
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert shown.stdout.strip().endswith("mlops-platform")
