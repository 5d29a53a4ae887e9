"""Every way a token can lie is refused."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from mlops_platform.adapters.oidc.identity import OidcIdentity
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.identity.development import DevelopmentIssuer, DevelopmentIssuerRefused
from mlops_platform.identity.principal import Role
from mlops_platform.identity.tokens import InvalidToken, IssuerUnavailable, UnknownSigningKey, principal_from
from mlops_platform.settings import Settings


@dataclass(frozen=True)
class FromNow:
    seconds: int


def _claims(issuer: DevelopmentIssuer, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": issuer.issuer,
        "aud": "mlops-platform",
        "sub": "ana@company.com",
        "roles": ["viewer"],
        "nbf": now,
        "exp": now + 600,
    }
    # a time is given as seconds from now: test processes must agree on the names of tests
    moved = {name: now + value.seconds if isinstance(value, FromNow) else value for name, value in changes.items()}
    return {name: value for name, value in {**claims, **moved}.items() if value is not None}


def _signed(issuer: DevelopmentIssuer, **changes: Any) -> str:
    key = issuer.keys().keys[-1]
    return jwt.encode({"alg": "ES256", "kid": key.kid}, _claims(issuer, **changes), key, algorithms=["ES256"])


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def _me(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


async def test_a_good_token_says_who_is_calling(client: httpx.AsyncClient, issuer: DevelopmentIssuer) -> None:
    answer = await _me(client, issuer.mint("ana@company.com", ["manager", "made-up"], "risk"))
    who = {"subject": "ana@company.com", "roles": ["manager"], "tenant": "risk", "kind": "human"}
    assert answer.json() == {**who, "elevations": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": FromNow(-3_600)},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": FromNow(3_600)},
        {"iat": FromNow(3_600)},
        {"aud": "another-service"},
        {"aud": None},
        {"aud": ["another-service"]},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
    ],
    ids=str,
)
async def test_a_token_with_a_wrong_claim_is_refused(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer, changes: dict[str, Any]
) -> None:
    answer = await _me(client, _signed(issuer, **changes))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/invalid-token"


async def test_unsigned_tokens_are_refused(client: httpx.AsyncClient, issuer: DevelopmentIssuer) -> None:
    kid = issuer.keys().keys[-1].kid
    for alg in ("none", "None", "NONE", ""):
        token = f"{_part({'alg': alg, 'kid': kid})}.{_part(_claims(issuer, roles=['platform-admin']))}."
        assert (await _me(client, token)).status_code == 401


async def test_the_public_key_is_not_a_shared_secret(client: httpx.AsyncClient, issuer: DevelopmentIssuer) -> None:
    key = issuer.keys().keys[-1]
    assert isinstance(key, ECKey)
    public = key.public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    # by hand: libraries refuse to make such a token, attackers do not
    signed = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(_claims(issuer, roles=['platform-admin']))}"
    signature = (
        base64.urlsafe_b64encode(hmac.new(public, signed.encode(), hashlib.sha256).digest()).decode().rstrip("=")
    )
    assert (await _me(client, f"{signed}.{signature}")).status_code == 401


async def test_a_token_signed_by_another_key_with_our_key_id_is_refused(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer
) -> None:
    kid = issuer.keys().keys[-1].kid
    token = jwt.encode({"alg": "ES256", "kid": kid}, _claims(issuer), ECKey.generate_key("P-256"), algorithms=["ES256"])
    assert (await _me(client, token)).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "e30.e30.e30", "ï.ï.ï", "A" * 100_000])
async def test_rubbish_is_refused(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get("/api/v1/me", headers={b"Authorization": b"Bearer " + token.encode()})
    assert answer.status_code == 401


async def test_a_changed_payload_is_refused(client: httpx.AsyncClient, issuer: DevelopmentIssuer) -> None:
    header, _, signature = issuer.mint("ana@company.com", ["viewer"]).split(".")
    assert (
        await _me(client, f"{header}.{_part(_claims(issuer, roles=['platform-admin']))}.{signature}")
    ).status_code == 401


async def test_a_rotated_key_is_picked_up_and_old_tokens_stay_valid(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer
) -> None:
    old = issuer.mint("ana@company.com", ["viewer"])
    assert (await _me(client, old)).status_code == 200
    issuer.rotate()
    assert (await _me(client, issuer.mint("ana@company.com", ["viewer"]))).status_code == 200
    assert (await _me(client, old)).status_code == 200
    published = (await client.get("/issuer/jwks.json")).json()["keys"]
    assert len(published) == 2
    assert all("d" not in key for key in published), "a private key was published"


def test_the_development_issuer_refuses_production(tmp_path: Path) -> None:
    with pytest.raises(DevelopmentIssuerRefused):
        DevelopmentIssuer(tmp_path, "https://issuer.example", "mlops-platform", "production")
    with pytest.raises(ValueError, match="MLOPS_ISSUER"):
        Settings(environment="production")
    with pytest.raises(ValueError, match="https"):
        Settings(environment="production", issuer="http://issuer.example")


def test_groups_stand_in_for_roles_and_nobody_is_a_viewer_by_accident() -> None:
    assert principal_from({"sub": "a", "groups": ["manager"]}).roles == {Role.MANAGER}
    assert principal_from({"sub": "a"}).roles == {Role.VIEWER}
    assert principal_from({"sub": "a", "roles": []}).roles == frozenset()
    assert principal_from({"sub": "a", "roles": {"platform-admin": True}}).roles == frozenset()


class _Issuer:
    """An outside OIDC issuer with an RSA key, whose answers a test can change."""

    url = "https://issuer.example"

    def __init__(self) -> None:
        self.keys = [RSAKey.generate_key(2048, auto_kid=True)]
        self.requests = 0
        self.down = False

    def transport(self) -> httpx.MockTransport:
        def answer(request: httpx.Request) -> httpx.Response:
            self.requests += 1
            if self.down:
                raise httpx.ConnectError("refused")
            if request.url.path.endswith("openid-configuration"):
                return httpx.Response(200, json={"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
            return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})

        return httpx.MockTransport(answer)

    def token(self, key: RSAKey) -> str:
        claims = {"iss": self.url, "aud": "mlops-platform", "sub": "ana", "exp": int(time.time()) + 60}
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])


@pytest.fixture
def outside() -> _Issuer:
    return _Issuer()


@pytest.fixture
def oidc(outside: _Issuer) -> OidcIdentity:
    return OidcIdentity(outside.url, "mlops-platform", 30, 300, httpx.AsyncClient(transport=outside.transport()))


async def test_an_outside_issuer_is_found_by_discovery(oidc: OidcIdentity, outside: _Issuer) -> None:
    assert (await oidc.authenticate(outside.token(outside.keys[0]))).principal.subject == "ana"
    assert outside.requests == 2


async def test_made_up_key_ids_do_not_flood_the_issuer(oidc: OidcIdentity, outside: _Issuer) -> None:
    for _ in range(20):
        with pytest.raises(UnknownSigningKey):
            await oidc.authenticate(outside.token(RSAKey.generate_key(2048, auto_kid=True)))
    assert outside.requests <= 4


async def test_an_unreachable_issuer_is_503_not_a_free_pass(oidc: OidcIdentity, outside: _Issuer) -> None:
    outside.down = True
    with pytest.raises(IssuerUnavailable):
        await oidc.authenticate(outside.token(outside.keys[0]))


async def test_known_keys_go_on_counting_while_the_issuer_is_down(outside: _Issuer) -> None:
    oidc = OidcIdentity(outside.url, "mlops-platform", 30, 0, httpx.AsyncClient(transport=outside.transport()))
    await oidc.authenticate(outside.token(outside.keys[0]))
    outside.down = True
    oidc._tried_at = float("-inf")
    assert (await oidc.authenticate(outside.token(outside.keys[0]))).principal.subject == "ana"


async def test_a_token_of_the_wrong_issuer_is_refused_by_a_provider_of_another(
    oidc: OidcIdentity, services: BuiltServices, token_for: Callable[..., str]
) -> None:
    with pytest.raises(InvalidToken):
        await oidc.authenticate(token_for("ana@company.com", "platform-admin"))
