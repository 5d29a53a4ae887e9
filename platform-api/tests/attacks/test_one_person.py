"""One person is one person: whatever a token says of an account, who asked does not approve, and programs do not at all."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.identity.claim_names import ClaimNames
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.subjects import SubjectNotUsable, normalised, same_person
from mlops_platform.identity.tokens import InvalidToken, principal_from
from tests.attacks.signing import MISSING, bearer, signed
from tests.support.ground import Ground

APPROVERS = ["senior-data-scientist", "manager"]


async def _asked(at: Ground, who: dict[str, str], **more: Any) -> str:
    """Ask for a medium-risk deployment; return the request for approval."""
    await at.registered(1, "medium")
    body = {"model_name": at.names[-1], "model_version": "1", "target_stage": "staging", "justification": "x", **more}
    answer = await at.client.post("/api/v1/models/deploy", json=body, headers=who)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["approval_id"])


async def _approve(at: Ground, approval_id: str, who: dict[str, str]) -> httpx.Response:
    path = f"/api/v1/approvals/{approval_id}/decisions"
    return await at.client.post(path, json={"decision": "approve"}, headers=who)


ACCOUNT = "00u1a2b3"
# what one account's tokens may say beside its 'sub', by what scopes were asked for and by what the account may edit
SEEN_AS: dict[str, dict[str, Any]] = {
    "with its address": {"email": "ana@company.com", "email_verified": True},
    "without the scope": {},
    "in capitals": {"email": "ANA@company.com", "email_verified": True},
    "with another address": {"email": "max@company.com"},
    "verified by a text": {"email": "max@company.com", "email_verified": "true"},
    "verified by a number": {"email": "max@company.com", "email_verified": 1},
    "blank at the end": {"sub": f"{ACCOUNT} "},
    "in wide letters": {"sub": "\uff10\uff10u1a2b3"},
}


@pytest.mark.parametrize("seen", SEEN_AS.values(), ids=SEEN_AS)
async def test_an_account_that_asked_never_approves(
    ground: Ground,
    issuer: DevelopmentIssuer,
    seen: dict[str, Any],
) -> None:
    roles = ["data-scientist", *APPROVERS]
    asker = signed(issuer, sub=ACCOUNT, email="ana@company.com", email_verified=True, roles=roles)
    approval = await _asked(ground, bearer(asker))
    answer = await _approve(ground, approval, bearer(signed(issuer, **{"sub": ACCOUNT, "roles": roles, **seen})))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/approver-is-requester")


async def test_an_address_in_capitals_is_the_same_person_and_decides_once(
    ground: Ground,
    issuer: DevelopmentIssuer,
) -> None:
    approval = await _asked(ground, bearer(signed(issuer, sub="Ana@company.com")))
    own = await _approve(ground, approval, bearer(signed(issuer, sub="ana@COMPANY.com", roles=APPROVERS)))
    assert own.json()["type"] == "/problems/approver-is-requester"
    first = await _approve(ground, approval, bearer(signed(issuer, sub="max@company.com", roles=APPROVERS)))
    assert first.status_code == 200
    again = await _approve(ground, approval, bearer(signed(issuer, sub=" MAX@company.com", roles=APPROVERS)))
    assert again.json()["type"] == "/problems/already-decided"


@pytest.mark.parametrize(
    "program",
    [
        {"roles": ["service", "manager"]},
        {"roles": ["manager"], "client_id": "robot@company.com"},
        {"roles": ["manager"], "gty": "client-credentials"},
        {"roles": ["manager"], "idtyp": "app"},
    ],
    ids=str,
)
async def test_a_program_never_decides(
    ground: Ground,
    issuer: DevelopmentIssuer,
    program: dict[str, Any],
) -> None:
    approval = await _asked(ground, bearer(signed(issuer)))
    answer = await _approve(ground, approval, bearer(signed(issuer, sub="robot@company.com", **program)))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/services-do-not-decide")
    # the same roles in a person's token decide: the refusal is about the program
    person = await _approve(ground, approval, bearer(signed(issuer, sub="max@company.com", roles=["manager"])))
    assert person.status_code == 200


PIPELINE = ["service", "ml-engineer"]


@pytest.mark.parametrize("way", ["claim", "field"])
async def test_who_starts_a_run_is_who_asks_and_cannot_approve(
    ground: Ground,
    issuer: DevelopmentIssuer,
    way: str,
) -> None:
    said = {"on_behalf_of": "Max@company.com"}
    robot = bearer(signed(issuer, sub="pipeline", roles=PIPELINE, **(said if way == "claim" else {})))
    approval = await _asked(ground, robot, **(said if way == "field" else {}))
    answer = await _approve(ground, approval, bearer(signed(issuer, sub="max@company.com", roles=APPROVERS)))
    assert answer.json()["type"] == "/problems/approver-is-requester"
    shown = await ground.client.get(f"/api/v1/approvals/{approval}", headers=ground.headers)
    assert shown.json()["requester"] == "max@company.com"
    auditor = bearer(signed(issuer, sub="aud@company.com", roles=["auditor"]))
    events = (
        await ground.client.get("/api/v1/audit/events?action=deployment:revision:requested", headers=auditor)
    ).json()
    # the person under the pseudonym that can be erased, and the program that says so
    assert [(one["actor"], one["details"]["through"]) for one in events["items"]] == [("max@company.com", "pipeline")]
    assert "max@" not in str([one["details"] for one in events["items"]])
    assert (await ground.client.get("/api/v1/audit/verify", headers=auditor)).json()["intact"]


async def test_only_a_service_acts_for_somebody_and_its_token_has_the_last_word(
    ground: Ground,
    issuer: DevelopmentIssuer,
) -> None:
    await ground.registered(1, "medium")
    body = {"model_name": ground.names[0], "model_version": "1", "target_stage": "staging", "justification": "x"}

    async def ask(token: str) -> httpx.Response:
        sent = {**body, "on_behalf_of": "eve@company.com"}
        return await ground.client.post("/api/v1/models/deploy", json=sent, headers=bearer(token))

    # a person who could name another as the one who asks would approve the own request
    person = await ask(signed(issuer, sub="max@company.com", roles=["data-scientist", "manager"]))
    assert (person.status_code, person.json()["type"]) == (403, "/problems/only-services-act-for-others")
    lying = await ask(signed(issuer, sub="pipeline", roles=PIPELINE, on_behalf_of="max@company.com"))
    assert (lying.status_code, lying.json()["type"]) == (403, "/problems/starter-contradicted")
    # from a person the claim means nothing
    assert principal_from({"sub": "max", "roles": ["manager"], "on_behalf_of": "eve"}).starter == "max"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "ana", "email": "max@company.com"},
        {"sub": "ana", "email": "max@company.com", "email_verified": None},
        {"sub": "ana", "email": "max@company.com", "email_verified": 0},
        {"sub": "ana", "email": "max@company.com", "email_verified": 1},
        {"sub": "ana", "email": "max@company.com", "email_verified": "true"},
        {"sub": "ana", "email": ["max@company.com"], "email_verified": True},
        {"sub": "ana"},
    ],
    ids=str,
)
def test_an_address_names_nobody_unless_it_is_configured_and_verified(claims: dict[str, Any]) -> None:
    assert principal_from(claims).subject == "ana"
    with pytest.raises(InvalidToken):
        principal_from(claims, ClaimNames(subject="email"))


def test_a_verified_address_is_one_person_in_any_letters() -> None:
    said = {"sub": "00u1", "email": "Max@Company.com", "email_verified": True}
    assert principal_from(said, ClaimNames(subject="email")).subject == "max@company.com"
    # the same account's next token, and a service, which has no address
    assert (
        principal_from({**said, "email": " max@company.com"}, ClaimNames(subject="email")).subject == "max@company.com"
    )
    assert principal_from({"sub": "ci", "roles": ["service"]}, ClaimNames(subject="email")).subject == "ci"


@pytest.mark.parametrize(
    "sub",
    ["", " ", "\t", "ana\n", "ana\0", "an\u200ba", "ana\u202e", "\ud800", "a" * 256, 7, None, ["ana"], {}],
    ids=repr,
)
async def test_a_subject_that_nobody_can_read_is_refused(client: httpx.AsyncClient, services: Any, sub: object) -> None:
    issuer = DevelopmentIssuer.from_settings(services.settings)
    answer = await client.get("/api/v1/me", headers=bearer(signed(issuer, sub=sub)))
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/invalid-token"


@pytest.mark.parametrize(
    "tenant", ["", " ", None, 7, ["default"], "default ", "\uff44efault", "a\nb", "x" * 121], ids=repr
)
async def test_a_tenant_that_is_none_is_not_the_team_default(
    client: httpx.AsyncClient, services: Any, tenant: object
) -> None:
    issuer = DevelopmentIssuer.from_settings(services.settings)
    assert (await client.get("/api/v1/me", headers=bearer(signed(issuer, tenant=tenant)))).status_code == 401
    absent = await client.get("/api/v1/me", headers=bearer(signed(issuer, tenant=MISSING)))
    assert absent.json()["tenant"] == "default"


@given(st.text(max_size=300))
def test_a_name_has_one_form(text: str) -> None:
    try:
        name = normalised(text)
    except SubjectNotUsable:
        return
    assert normalised(name) == name
    assert name == name.strip()
    assert name.isprintable()
    assert same_person(text, name)
