"""No token makes a 500: whatever a header holds, the answer is 401, or 400 when there are two."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.identity.claims import ClaimsNotValid, is_time, parts_of
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.session_cookie import PLAIN_NAME as NAME
from mlops_platform.identity.session_cookie import new_cookie
from mlops_platform.identity.tokens import InvalidToken
from tests.attacks.signing import bearer, claims, part, raw, signed
from tests.conftest import client_for

DEEP = "[" * 3_000
HOSTILE_HEADERS = {
    "a list in a list in a list": DEEP,
    "an object in an object": '{"a":' * 600 + "1" + "}" * 600,
    "the same name twice": '{"alg":"none","alg":"ES256","kid":"x"}',
    "not a number": '{"alg":"ES256","kid":NaN}',
    "digits without end": '{"alg":"ES256","kid":' + "9" * 5_000 + "}",
    "no object": '"ES256"',
    "an algorithm that is a list": '{"alg":["ES256"],"kid":"x"}',
    "a critical extension": '{"alg":"ES256","kid":"x","crit":7}',
    "half a character": '{"alg":"\\ud800","kid":"\\udfff"}',
}


async def _everywhere(client: httpx.AsyncClient, token: str) -> dict[str, int]:
    """Return the status of every kind of door."""
    who = bearer(token)
    key = {"Idempotency-Key": "k"}
    cookie = {"Cookie": f"{NAME}={new_cookie()}"}
    raw_cookie = {"Cookie": f"{NAME}={token}"}
    asked = {
        "api": client.get("/api/v1/me", headers=who),
        "predict": client.post("/api/v1/predict", headers=who, json={}),
        "features": client.post("/api/v1/features/retrieve", headers=who, json={}),
        "v2": client.get("/v2", headers=who),
        "infer": client.post("/v2/models/m/infer", headers=who, json={}),
        "idempotency": client.post("/api/v1/models/deploy", headers={**who, **key}, json={}),
        "metrics": client.get("/metrics", headers=who),
        "sign in": client.post("/console/sign-in", data={"token": token}),
        "cookie": client.get("/console", headers=cookie),
        "cookie that is a token": client.get("/console", headers=raw_cookie),
        "form": client.post("/console/approvals/x", headers=cookie, data={"form_token": "x", "decision": "approve"}),
        "sign out": client.post("/console/sign-out", headers=cookie),
    }
    return {name: (await answer).status_code for name, answer in asked.items()}


@pytest.mark.parametrize("header", HOSTILE_HEADERS.values(), ids=HOSTILE_HEADERS)
async def test_a_hostile_header_of_a_token_is_refused_at_every_door(client: httpx.AsyncClient, header: str) -> None:
    found = await _everywhere(client, f"{part(header)}.e30.AA")
    assert set(found.values()) <= {401, 303}, found


@pytest.fixture
def issuer(services: BuiltServices) -> DevelopmentIssuer:
    return DevelopmentIssuer.from_settings(services.settings)


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1" + "0" * 400, "1e400", "-1", "253402300800", "true", '"2030"', "[]", "null"],
)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
async def test_a_time_that_no_clock_reaches_is_refused(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer, claim: str, value: str
) -> None:
    good = claims(issuer, iat=1)
    payload = json.dumps({**good, claim: "HERE"}).replace('"HERE"', value)
    assert (await client.get("/api/v1/me", headers=bearer(raw(issuer, payload)))).status_code == 401


@pytest.mark.parametrize(
    "more",
    ['"roles":["platform-admin"]', '"sub":"max@company.com"', '"exp":99999999999', '"x":{"a":1,"a":2}', f'"x":{DEEP}'],
)
async def test_claims_that_mean_two_things_are_refused_though_the_issuer_signed_them(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer, more: str
) -> None:
    payload = f"{json.dumps(claims(issuer))[:-1]},{more}}}"
    assert (await client.get("/api/v1/me", headers=bearer(raw(issuer, payload)))).status_code == 401


@pytest.mark.parametrize("events", [{"http://schemas.openid.net/event/backchannel-logout": {}}, {}, None])
async def test_a_message_about_a_session_lets_nobody_in(
    client: httpx.AsyncClient, issuer: DevelopmentIssuer, events: Any
) -> None:
    """A logout token is signed by the same key, about the same person, and may be for the same audience."""
    found = await _everywhere(client, signed(issuer, events=events, iat=1, jti="x"))
    assert set(found.values()) <= {401, 303}, found


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda some: part(some.decode("latin-1")) + ".e30.AA"))
def test_whatever_text_comes_there_is_one_kind_of_refusal(text: str) -> None:
    try:
        parts_of(text)
    except ClaimsNotValid:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=20,
    ),
    st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "roles", "groups", "tenant", "email", "on_behalf_of"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_claim_holds_the_verifier_answers_or_refuses(
    services: BuiltServices, issuer: DevelopmentIssuer, value: Any, claim: str
) -> None:
    try:
        token = signed(issuer, **{claim: value})
    except (UnicodeEncodeError, ValueError):
        return
    try:
        services.identity.verify(token)
    except InvalidToken:
        return


@given(st.integers() | st.floats())
def test_a_time_is_finite_and_before_the_year_ten_thousand(value: float) -> None:
    if is_time(value):
        assert 0 <= float(value) < 1e12


async def test_two_tokens_are_one_too_many_on_both_planes(services: BuiltServices, issuer: DevelopmentIssuer) -> None:
    good, bad = f"Bearer {signed(issuer)}", "Bearer x.y.z"
    async with client_for(services) as client:
        for method, path in (("GET", "/api/v1/me"), ("POST", "/api/v1/predict"), ("GET", "/v2"), ("GET", "/metrics")):
            for pair in ((good, bad), (bad, good), (good, good)):
                headers = [("Authorization", value) for value in pair]
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == 400, f"{method} {path} took one of {pair}"
