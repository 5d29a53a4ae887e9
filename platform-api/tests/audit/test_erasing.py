"""An administrator has a person forgotten: recorded, verified as intact, and nowhere repeated."""

from collections.abc import Callable

import httpx
import pytest

from mlops_platform.audit import service
from mlops_platform.bootstrap import BuiltServices

from ..support.waiting import eventually_async

Headers = Callable[..., dict[str, str]]
PATH = "/api/v1/audit/erasures"


@pytest.fixture
async def acted(services: BuiltServices, principal: Callable[..., object]) -> str:
    who = principal("Ana@Company.com".lower(), "data-scientist")
    async with services.database.session() as session:
        for number in range(3):
            await service.record(
                session,
                action=service.Action.MODEL_CREATED,
                actor=who,  # type: ignore[arg-type]
                resource=f"model:m{number}",
                tenant="default",
                details={},
            )
    return "ana@company.com"


async def test_an_administrator_erases_a_person_and_the_log_stays_intact(
    client: httpx.AsyncClient, as_: Headers, acted: str
) -> None:
    admin = as_("dpo@company.com", "platform-admin")
    # in the form tokens are compared in
    answer = await client.post(PATH, json={"subject": " ANA@company.com"}, headers=admin)
    assert answer.status_code == 200, answer.text
    assert answer.json()["events"] == 3
    assert acted not in answer.text
    listed = (await client.get("/api/v1/audit/events", headers=admin)).json()["items"]
    assert acted not in str(listed)
    assert listed[0]["action"] == "audit:identity:erased"
    assert listed[0]["actor"] == "dpo@company.com"
    assert {event["actor"] for event in listed[1:4]} == {answer.json()["pseudonym"]}

    async def checked() -> httpx.Response | None:
        found = await client.get("/api/v1/audit/verify", headers=admin)
        return found if found.status_code == 200 else None

    verified = await eventually_async(checked, 60, "the check ends")
    assert verified is not None
    assert verified.json()["intact"], verified.text
    # nothing is left to erase, and a second erasure is one more event
    again = await client.post(PATH, json={"subject": acted}, headers=admin)
    assert again.status_code == 200


@pytest.mark.parametrize("role", ["auditor", "manager", "data-scientist", "service", "cab-member"])
async def test_nobody_else_erases_anybody(client: httpx.AsyncClient, as_: Headers, acted: str, role: str) -> None:
    answer = await client.post(PATH, json={"subject": acted}, headers=as_("eve@company.com", role))
    assert answer.status_code == 403
    admin = as_("dpo@company.com", "platform-admin")
    listed = (await client.get("/api/v1/audit/events", headers=admin)).json()["items"]
    assert {event["actor"] for event in listed} == {acted}


@pytest.mark.parametrize("subject", ["nobody@company.com", "\u200b", "system:worker", "worker", "person:00"])
async def test_who_is_not_known_is_not_found_and_the_name_is_not_repeated(
    client: httpx.AsyncClient, as_: Headers, acted: str, subject: str
) -> None:
    answer = await client.post(PATH, json={"subject": subject}, headers=as_("dpo@company.com", "platform-admin"))
    assert answer.status_code == 404
    assert subject not in answer.json()["detail"]
    assert (await client.post(PATH, json={}, headers=as_("dpo@company.com", "platform-admin"))).status_code == 422
