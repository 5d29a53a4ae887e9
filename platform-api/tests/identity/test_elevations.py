"""A role for some hours: only where a setting allows it, with a reason, ended by the clock, and never to agree with oneself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import select, text

from mlops_platform.audit.verify import verify
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.cli.exits import CommandFailed
from mlops_platform.cli.people import seconds_of
from mlops_platform.errors import Unavailable
from mlops_platform.identity import elevations, sign_outs
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.elevations import ElevationRequest, Elevations, HasThisRole, NotElevatable
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.identity.tables import ElevationRow, PersonRow
from mlops_platform.kit.clock import now
from mlops_platform.local import doctor
from mlops_platform.settings import Settings
from tests.conftest import client_for

from ..support.browsing import browser_for, hidden, sign_in_as
from ..support.bundles import halves
from ..support.ground import Ground
from ..support.parts import quick

Headers = Callable[..., dict[str, str]]
POLICY = {Role.ML_ENGINEER: [Role.PLATFORM_ADMIN], Role.DATA_SCIENTIST: [Role.MANAGER], Role.MANAGER: [Role.AUDITOR]}
ELI = ("eli@company.com", "ml-engineer")
ASKED = {"role": "platform-admin", "seconds": 7_200, "reason": "incident 4711"}


@pytest.fixture
def parts(services: BuiltServices) -> BuiltServices:
    """A platform where some roles may be taken."""
    return replace(quick(services), elevations=Elevations(services.database, POLICY))


@pytest.fixture
async def client(parts: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    async with client_for(parts) as one:
        yield one


async def take(client: httpx.AsyncClient, who: dict[str, str], **changes: Any) -> httpx.Response:
    return await client.post("/api/v1/me/elevations", json={**ASKED, **changes}, headers=who)


async def events(client: httpx.AsyncClient, as_: Headers) -> list[dict[str, Any]]:
    found = await client.get("/api/v1/audit/events", headers=as_("aud@company.com", "auditor"))
    return [one for one in reversed(found.json()["items"]) if one["action"].startswith("identity:elevation")]


async def may_read_the_log(client: httpx.AsyncClient, who: dict[str, str]) -> bool:
    return (await client.get("/api/v1/audit/events", headers=who)).status_code == 200


async def test_a_role_is_taken_for_a_reason_shown_recorded_and_given_back(
    client: httpx.AsyncClient, as_: Headers
) -> None:
    eli = as_(*ELI)
    assert not await may_read_the_log(client, eli)
    answer = await take(client, eli)
    assert (answer.status_code, answer.json()["role"]) == (201, "platform-admin")
    assert await may_read_the_log(client, eli)
    me = (await client.get("/api/v1/me", headers=eli)).json()
    assert me["roles"] == ["ml-engineer", "platform-admin"]
    assert [(one["role"], one["reason"]) for one in me["elevations"]] == [("platform-admin", "incident 4711")]
    assert (await client.delete("/api/v1/me/elevations", headers=eli)).status_code == 204
    assert not await may_read_the_log(client, eli)
    begun, ended = await events(client, as_)
    assert (begun["actor"], begun["details"]["reason"]) == ("eli@company.com", "incident 4711")
    assert (ended["actor"], ended["details"]["by"]) == ("eli@company.com", "self")
    assert "eli" not in begun["resource"]


async def test_nobody_may_take_anything_by_default(services: BuiltServices, as_: Headers) -> None:
    assert services.settings.elevations == {}
    async with client_for(services) as client:
        answer = await take(client, as_("root@company.com", "platform-admin"))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-elevatable")


@pytest.mark.parametrize(
    ("roles", "changes", "status"),
    [
        (["viewer"], {}, 403),
        (["ml-engineer"], {"role": "manager"}, 403),
        (["ml-engineer"], {"role": "service"}, 403),
        (["ml-engineer"], {"role": "emperor"}, 422),
        (["ml-engineer"], {"seconds": 14_401}, 422),
        (["ml-engineer"], {"seconds": 59}, 422),
        (["ml-engineer"], {"seconds": -7_200}, 422),
        (["ml-engineer"], {"reason": "  \n "}, 422),
        # a service is one whatever other roles its token has
        (["service", "ml-engineer"], {}, 403),
        (["ml-engineer", "platform-admin"], {}, 409),
    ],
    ids=str,
)
async def test_what_no_setting_allows_is_refused(
    client: httpx.AsyncClient, as_: Headers, roles: list[str], changes: dict[str, Any], status: int
) -> None:
    assert (await take(client, as_("x@company.com", *roles), **changes)).status_code == status


async def test_a_taken_role_takes_no_other(client: httpx.AsyncClient, as_: Headers) -> None:
    dana = as_("dana@company.com", "data-scientist")
    assert (await take(client, dana, role="manager")).status_code == 201
    # managers may become auditors; who is a manager for two hours may not
    assert (await take(client, dana, role="auditor")).status_code == 403


async def test_it_ends_by_the_clock_at_the_point_of_use_and_the_end_is_recorded_once(
    client: httpx.AsyncClient, parts: BuiltServices, as_: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    eli = as_(*ELI)
    await take(client, eli)
    monkeypatch.setattr(elevations, "now", lambda: now() + timedelta(hours=2, seconds=1))
    # no job has run
    assert not await may_read_the_log(client, eli)
    await asyncio.gather(*(elevations.end_those_that_are_over(parts.database) for _ in range(3)))
    begun, ended = await events(client, as_)
    assert (ended["actor"], ended["details"]["by"]) == ("elevations", "time")
    async with parts.database.read_session() as session:
        row = (await session.scalars(select(ElevationRow))).one()
    assert row.ended_at == row.ends_at
    assert begun["details"]["elevation"] == ended["details"]["elevation"] == row.id


async def test_one_that_is_over_stands_in_nobodys_way(
    client: httpx.AsyncClient, as_: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take(client, as_(*ELI))
    monkeypatch.setattr(elevations, "now", lambda: now() + timedelta(hours=3))
    assert (await take(client, as_(*ELI))).status_code == 201
    assert [one["action"].rpartition(":")[2] for one in await events(client, as_)] == ["begun", "ended", "begun"]


@pytest.mark.parametrize(
    "jump", [timedelta(days=-1), timedelta(seconds=-5), timedelta(hours=5), timedelta(days=400)], ids=str
)
async def test_a_clock_that_jumps_ends_it_and_never_lengthens_it(
    client: httpx.AsyncClient, as_: Headers, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    await take(client, as_(*ELI), seconds=14_400)
    monkeypatch.setattr(elevations, "now", lambda: now() + jump)
    assert not await may_read_the_log(client, as_(*ELI))


async def test_a_row_that_somebody_made_longer_counts_nothing(
    client: httpx.AsyncClient, parts: BuiltServices, as_: Headers
) -> None:
    await take(client, as_(*ELI))
    async with parts.database.session() as session:
        await session.execute(text("UPDATE elevations SET ends_at = ends_at + interval '1 day'"))
    assert not await may_read_the_log(client, as_(*ELI))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE elevations SET ends_at = ends_at + interval '1 minute'",
        "UPDATE elevations SET role = 'manager'",
        "INSERT INTO elevations (id, subject, tenant, role, reason, began_at, ends_at) "  # noqa: ISC004 - one statement
        "SELECT 'x', subject, tenant, 'manager', 'none', began_at, ends_at FROM elevations",
    ],
)
async def test_a_row_that_no_event_explains_is_found(
    client: httpx.AsyncClient, parts: BuiltServices, as_: Headers, change: str
) -> None:
    await take(client, as_(*ELI))
    async with parts.database.read_session() as session:
        assert (await verify(session)).intact
    async with parts.database.session() as session:
        await session.execute(text(change))
    async with parts.database.read_session() as session:
        found = await verify(session)
    assert not found.intact
    assert any("has the role" in str(problem) for problem in found.problems), found.problems


async def test_two_at_once_are_one(client: httpx.AsyncClient, as_: Headers) -> None:
    answers = await asyncio.gather(*(take(client, as_(*ELI)) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert len(await events(client, as_)) == 1


async def test_it_counts_in_the_team_where_it_was_taken(client: httpx.AsyncClient, as_: Headers) -> None:
    await take(client, as_(*ELI))
    elsewhere = as_(*ELI, tenant="other")
    assert (await client.get("/api/v1/me", headers=elsewhere)).json()["roles"] == ["ml-engineer"]
    assert not await may_read_the_log(client, elsewhere)
    # and another person of the same role has not got it
    assert not await may_read_the_log(client, as_("eva@company.com", "ml-engineer"))


async def test_it_ends_with_the_role_that_it_came_from_or_with_the_setting(
    client: httpx.AsyncClient, parts: BuiltServices, as_: Headers
) -> None:
    await take(client, as_(*ELI))
    assert not await may_read_the_log(client, as_("eli@company.com", "viewer"))
    assert await may_read_the_log(client, as_(*ELI))
    async with client_for(replace(parts, elevations=Elevations(parts.database, {}))) as other:
        assert not await may_read_the_log(other, as_(*ELI))


async def test_signing_out_everywhere_ends_it(client: httpx.AsyncClient, parts: BuiltServices, as_: Headers) -> None:
    await take(client, as_(*ELI))
    root = Principal("root@company.com", frozenset({Role.PLATFORM_ADMIN}), "default")
    await sign_outs.sign_out(parts.database, parts.identity, root, "eli@company.com", "gone")
    *_, ended = await events(client, as_)
    assert (ended["actor"], ended["details"]["by"]) == ("root@company.com", "signed_out")


async def test_without_the_database_nobody_has_more_than_the_token_says(
    parts: BuiltServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    eli = Principal("eli@company.com", frozenset({Role.ML_ENGINEER}), "default")
    await parts.elevations.begin(eli, ElevationRequest(role=Role.PLATFORM_ADMIN, reason="x"))
    assert (await parts.elevations.applied(eli)).elevated == {Role.PLATFORM_ADMIN}

    def away() -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(parts.database, "read_session", away)
    assert await parts.elevations.applied(eli) == eli


async def test_what_dies_halfway_gives_nobody_a_role(parts: BuiltServices, monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("mlops_platform.identity.elevations.audit.record", die)
    eli = Principal("eli@company.com", frozenset({Role.ML_ENGINEER}), "default")
    with pytest.raises(RuntimeError, match="killed"):
        await parts.elevations.begin(eli, ElevationRequest(role=Role.PLATFORM_ADMIN, reason="x"))
    assert await parts.elevations.of(eli) == []


async def test_it_is_no_sign_of_who_should_be_told(
    client: httpx.AsyncClient, parts: BuiltServices, as_: Headers
) -> None:
    await take(client, as_(*ELI))
    await client.get("/api/v1/me", headers=as_(*ELI))
    parts.people._noted.clear()
    await client.get("/api/v1/me", headers=as_(*ELI))
    async with parts.database.read_session() as session:
        person = await session.get(PersonRow, "eli@company.com")
    assert person is not None
    assert person.roles == ["ml-engineer"]


async def test_who_asked_does_not_agree_as_somebody_for_two_hours(
    client: httpx.AsyncClient, parts: BuiltServices, as_: Headers
) -> None:
    dana = as_("dana@company.com", "data-scientist")
    await parts.signer.sign(halves(parts.settings.home / "prepared"))
    at = Ground(parts, client, dana, as_)
    await at.registered(1, "medium")
    asked = {"model_name": at.names[0], "model_version": "1", "target_stage": "staging", "justification": "x"}
    held = await at.ask("POST", "/models/deploy", asked)
    await take(client, dana, role="manager")
    path = f"/api/v1/approvals/{held['approval_id']}/decisions"
    own = await client.post(path, json={"decision": "approve"}, headers=dana)
    assert (own.status_code, own.json()["type"]) == (403, "/problems/approver-is-requester")
    # another scientist who became a manager decides, and the log says that it was for some hours
    dora = as_("dora@company.com", "data-scientist")
    await take(client, dora, role="manager")
    other = await client.post(path, json={"decision": "approve"}, headers=dora)
    assert other.status_code == 200, other.text
    found = await client.get("/api/v1/audit/events", headers=as_("aud@company.com", "auditor"))
    decided = next(one for one in found.json()["items"] if one["action"] == "approval:decision:made")
    assert decided["details"]["elevated"] == ["manager"]


async def test_a_second_factor_is_asked_for_where_approvers_need_one(
    parts: BuiltServices, issuer: DevelopmentIssuer, settings: Settings
) -> None:
    strict = replace(parts, settings=parts.settings.model_copy(update={"approver_amr": ["mfa"]}))
    claims = {"sub": "eli@company.com", "roles": ["ml-engineer"], "tenant": "default"}
    async with client_for(strict) as client:
        weak = {"Authorization": f"Bearer {issuer.sign(claims, issuer.audience, 60)}"}
        strong = {"Authorization": f"Bearer {issuer.sign({**claims, 'amr': ['mfa']}, issuer.audience, 60)}"}
        assert (await take(client, weak)).json()["type"] == "/problems/second-factor-needed"
        assert (await take(client, strong)).status_code == 201


async def test_the_console_takes_a_role_shows_it_and_gives_it_back(parts: BuiltServices) -> None:
    async with browser_for(parts) as browser:
        await sign_in_as(browser, "eli")
        page = (await browser.get("/console/account")).text
        assert "<option>platform-admin</option>" in page
        form = {"form_token": hidden(page)["form_token"], "role": "platform-admin", "minutes": "120"}
        assert (await browser.post("/console/account/elevations", data=form)).status_code == 400
        without = {**form, "reason": "incident", "form_token": "x"}
        assert (await browser.post("/console/account/elevations", data=without)).status_code == 403
        taken = await browser.post("/console/account/elevations", data={**form, "reason": "incident <4711>"})
        assert taken.status_code == 303, taken.text
        page = (await browser.get("/console/account")).text
        assert "elevated: platform-admin" in page
        assert "incident &lt;4711&gt;" in page
        assert "<option>platform-admin</option>" not in page
        assert (await browser.get("/console/audit")).status_code == 200
        await browser.post("/console/account/elevations/end", data={"form_token": hidden(page)["form_token"]})
        assert (await browser.get("/console/audit")).status_code == 403


async def test_begin_refuses_without_the_door_too(parts: BuiltServices) -> None:
    request = ElevationRequest(role=Role.PLATFORM_ADMIN, reason="x")
    with pytest.raises(NotElevatable):
        await parts.elevations.begin(Principal("x", frozenset({Role.VIEWER}), "default"), request)
    eli = Principal("eli@company.com", frozenset({Role.ML_ENGINEER}), "default")
    await parts.elevations.begin(eli, request)
    with pytest.raises(HasThisRole):
        await parts.elevations.begin(eli, request)


def test_a_setting_that_names_no_role_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_ELEVATIONS", '{"ml-engineer": ["emperor"]}')
    with pytest.raises(ValidationError, match="elevations"):
        Settings()


@pytest.mark.parametrize(("written", "seconds"), [("2h", 7_200), ("90m", 5_400), ("1h30m", 5_400)])
def test_lengths_of_time_are_read(written: str, seconds: int) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize("written", ["", "2", "h", "2d", "-1h", "2h 5"])
def test_what_is_no_length_of_time_is_refused(written: str) -> None:
    with pytest.raises(CommandFailed, match="no length of time"):
        seconds_of(written)


def test_doctor_says_which_setting_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.settings().verdict == "ok"
    monkeypatch.setenv("MLOPS_ELEVATIONS", '{"emperor": []}')
    found = doctor.settings()
    assert (found.verdict, "elevations" in found.found) == ("fail", True)
    monkeypatch.setenv("MLOPS_ELEVATIONS", "no JSON, and a secret")
    found = doctor.settings()
    assert (found.verdict, "secret" in found.found) == ("fail", False)
