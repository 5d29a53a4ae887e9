"""Risk that is not what the requester typed: tags raise it, two people lower it, and the same bytes carry it everywhere."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from mlops_platform.audit.verify import verify
from mlops_platform.models import copying, holding
from mlops_platform.risk import service as risk
from tests.support.ground import Ground

ANA, MAX, EVE = "ana@company.com", "max@company.com", "eve@company.com"


class Road:
    """What people do to one model, through the API and past it."""

    def __init__(self, ground: Ground, as_: Callable[..., dict[str, str]]) -> None:
        self.ground, self.as_ = ground, as_

    async def asked(
        self, method: str, path: str, person: str, *roles: str, body: Any = None, tenant: str = "default"
    ) -> httpx.Response:
        headers = self.as_(person, *roles, tenant=tenant)
        return await self.ground.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def registered(self, risk_level: str = "high") -> str:
        await self.ground.registered(1, risk_level)
        return self.ground.names[-1]

    async def tagged(self, name: str, level: str | None, version: int = 1) -> None:
        """Set or remove the tag in MLflow, as anybody who reaches it can. Its time of the last change does not move."""
        with self.ground.services.registry._models() as models:  # type: ignore[attr-defined]  # the registry of files
            tags = models[name]["versions"][str(version)]["tags"]
            if level is None:
                tags.pop("risk_level", None)
            else:
                tags["risk_level"] = level

    async def mirrored(self) -> None:
        copying.seen_by(self.ground.services.database).compared = None
        await self.ground.run("registry-mirror")

    async def deployed(self, name: str, version: str = "1") -> dict[str, Any]:
        body = {"model_name": name, "model_version": version, "target_stage": "staging", "justification": "because"}
        answer = await self.asked("POST", "/models/deploy", ANA, "data-scientist", body=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def version(self, name: str, version: int = 1) -> dict[str, Any]:
        return dict((await self.asked("GET", f"/models/{name}/versions/{version}", ANA, "data-scientist")).json())

    async def record(self, digest: str) -> dict[str, Any]:
        answer = await self.asked("GET", f"/risk/records/{digest}", ANA, "data-scientist")
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def propose(self, digest: str, level: str, person: str = ANA, role: str = "data-scientist") -> httpx.Response:
        body = {"level": level, "reason": "it reads public data only"}
        return await self.asked("POST", f"/risk/records/{digest}/proposals", person, role, body=body)

    async def decide(
        self,
        digest: str,
        person: str,
        *roles: str,
        decision: str = "confirm",
        proposal: str | None = None,
        tenant: str = "default",
    ) -> httpx.Response:
        if proposal is None:
            proposal = (await self.record(digest))["proposals"][0]["id"]
        body = {"proposal": proposal, "decision": decision, "comment": "seen"}
        return await self.asked("POST", f"/risk/records/{digest}/decisions", person, *roles, body=body, tenant=tenant)

    async def events(self, resource: str) -> list[tuple[str, dict[str, Any]]]:
        answer = await self.asked("GET", f"/audit/events?resource={resource}", "aud@company.com", "auditor")
        return [(event["action"], event["details"]) for event in reversed(answer.json()["items"])]


@pytest.fixture
def road(ground: Ground, as_: Callable[..., dict[str, str]]) -> Road:
    return Road(ground, as_)


@pytest.fixture
async def digest(road: Road) -> str:
    """The bytes of a high-risk model for whose deployment somebody has asked."""
    name = await road.registered("high")
    await road.deployed(name)
    return str((await road.version(name))["digest"])


@pytest.mark.parametrize("known", [False, True], ids=["bytes not known yet", "bytes known"])
async def test_a_tag_lowered_past_the_platform_lowers_nothing(road: Road, known: bool) -> None:
    """sec-mlflow-anonymous-retag-risk: declared high, retagged low by somebody nobody knows, deployed without a question."""
    name = await road.registered("high")
    if known:
        asked = await road.deployed(name)
        await road.ground.client.post(
            f"/api/v1/approvals/{asked['approval_id']}/decisions",
            json={"decision": "reject", "comment": "no"},
            headers=road.as_(MAX, "manager"),
        )
    await road.tagged(name, "low")
    await road.mirrored()
    assert (await road.version(name))["risk_level"] == "high"
    assert (await road.deployed(name))["status"] == "pending_approval"
    assert "risk:lowering:ignored" in [action for action, _ in await road.events(f"model:{name}:1")]


async def test_a_tag_lowered_the_moment_before_the_request_lowers_nothing(road: Road) -> None:
    name = await road.registered("high")
    await road.tagged(name, "low")
    assert (await road.deployed(name))["status"] == "pending_approval"


@pytest.mark.parametrize("mirrored", [True, False])
async def test_a_tag_raised_after_registration_counts_at_once(road: Road, mirrored: bool) -> None:
    """ds-risk-tag-after-register: raised in MLflow, deployed by the old level."""
    name = await road.registered("low")
    await road.tagged(name, "high")
    if mirrored:
        await road.mirrored()
        assert (await road.version(name))["risk_level"] == "high"
    assert (await road.deployed(name))["status"] == "pending_approval"
    assert (await road.version(name))["risk_level"] == "high"


async def test_a_tag_raised_after_the_approval_is_seen_by_who_reconciles(road: Road) -> None:
    name = await road.registered("low")
    await road.deployed(name)
    digest = (await road.version(name))["digest"]
    await road.tagged(name, "high")
    await road.mirrored()
    async with road.ground.services.database.read_session() as session:
        assert await risk.level_of(session, digest) == "high"
        assert await risk.raised(session, {digest: "low"}) == {digest: "high"}
        assert await risk.raised(session, {digest: "high"}) == {}


async def test_another_name_makes_nothing_less_risky(road: Road) -> None:
    """Retagged low, which is ignored, and then renamed: the catalogue's row is another one, the level is not."""
    name = await road.registered("high")
    await road.tagged(name, "low")
    await road.mirrored()
    services = road.ground.services
    with services.registry._models() as models:  # type: ignore[attr-defined]  # the registry of files
        models["renamed"] = models.pop(name)
    async with services.database.session() as session:
        await holding.renamed(session, services.registry, name, "renamed")
    assert (await road.version("renamed"))["risk_level"] == "high"
    await road.mirrored()
    assert (await road.version("renamed"))["risk_level"] == "high"


async def test_who_registered_a_version_does_not_lower_it_whatever_its_tag_owner_says(road: Road, digest: str) -> None:
    await road.ground.services.registry.set_version_tag(road.ground.names[0], 1, "owner", "nobody@company.com")
    await road.mirrored()
    await road.propose(digest, "low", EVE)
    assert (await road.decide(digest, ANA, "manager")).status_code == 403
    assert (await road.decide(digest, MAX, "manager")).status_code == 200


async def test_a_version_without_a_tag_counts_as_medium_and_a_tag_low_afterwards_lowers_nothing(road: Road) -> None:
    name = await road.registered("low")
    await road.ground.another_version(name, "low")
    with road.ground.services.registry._models() as models:  # type: ignore[attr-defined]  # the registry of files
        versions = models[name]["versions"]
        versions["3"] = {**json.loads(json.dumps(versions["2"])), "source": f"{versions['2']['source']}/3"}
        del versions["3"]["tags"]["risk_level"]
    await road.mirrored()
    assert (await road.version(name, 3))["risk_level"] == "medium"
    await road.tagged(name, "low", 3)
    await road.mirrored()
    assert (await road.version(name, 3))["risk_level"] == "medium"
    # seen first by the mirror: an event says that it was registered past the API
    (registered, *_) = await road.events(f"model:{name}:3")
    assert registered[0] == "model:version:registered"
    assert (registered[1]["through"], registered[1]["declared"]) == ("mlflow", None)


async def test_the_same_bytes_under_another_name_carry_the_level(road: Road) -> None:
    """mission 0.2: what waited for two people as high, registered again as low, needed nobody."""
    first = await road.registered("high")
    await road.deployed(first)
    second = await road.registered("low")
    registry: Any = road.ground.services.registry
    copy = registry._artifacts(second, 1) / "model.txt"
    copy.write_bytes((registry._artifacts(first, 1) / "model.txt").read_bytes())
    assert (await road.deployed(second))["status"] == "pending_approval"
    assert (await road.version(second))["risk_level"] == "high"
    # and the other way round: the second name raises the first
    third = await road.registered("low")
    assert (await road.deployed(third))["status"] == "success"
    fourth = await road.registered("high")
    (registry._artifacts(fourth, 1) / "model.txt").write_bytes(
        (registry._artifacts(third, 1) / "model.txt").read_bytes()
    )
    await road.deployed(fourth)
    assert (await road.version(third))["risk_level"] == "high"


async def test_two_people_lower_a_level_and_it_stays_lowered(road: Road, digest: str) -> None:
    assert (await road.propose(digest, "low")).json()["level"] == "high", "a proposal alone lowers nothing"
    decided = await road.decide(digest, MAX, "manager")
    assert decided.is_success, decided.text
    record = decided.json()
    assert (record["level"], record["source"], record["changed_by"]) == ("low", "decision", MAX)
    name = road.ground.names[0]
    await road.mirrored()
    assert (await road.version(name))["risk_level"] == "low", "the unchanged tag says nothing new"
    actions = [action for action, _ in await road.events(f"risk:{digest}")]
    assert actions == ["risk:level:set", "risk:lowering:proposed", "risk:level:set", "risk:lowering:decided"]
    async with road.ground.services.database.read_session() as session:
        found = await verify(session)
    assert found.intact, found.problems


@pytest.mark.parametrize(
    ("person", "roles", "tenant", "status"),
    [
        (EVE, ("manager",), "default", 403),  # proposed it
        ("EVE@company.com ", ("manager",), "default", 403),  # the same person in capitals
        (ANA, ("manager",), "default", 403),  # owns the version
        ("bob@company.com", ("data-scientist",), "default", 403),
        ("bob@company.com", ("ml-engineer", "team-lead"), "default", 403),
        ("bob@company.com", ("auditor",), "default", 403),
        ("robot", ("service",), "default", 403),
        ("bob@company.com", ("manager",), "other", 404),
        # company-wide eyes and a role in another tenant are no role in this one
        ("bob@company.com", ("manager", "auditor"), "other", 403),
        ("bob@company.com", ("manager",), "default", 200),
        ("bob@company.com", ("architect",), "other", 200),
    ],
)
async def test_who_may_confirm(
    road: Road, digest: str, person: str, roles: tuple[str, ...], tenant: str, status: int
) -> None:
    await road.propose(digest, "low", EVE, "manager")
    answer = await road.decide(digest, person, *roles, tenant=tenant)
    assert answer.status_code == status, answer.text
    assert (await road.record(digest))["level"] == ("low" if status == 200 else "high")


async def test_a_level_raised_meanwhile_overtakes_the_proposal(road: Road) -> None:
    name = await road.registered("medium")
    await road.deployed(name)
    digest = (await road.version(name))["digest"]
    await road.propose(digest, "low")
    await road.tagged(name, "high")
    await road.mirrored()
    answer = await road.decide(digest, MAX, "manager")
    assert (answer.status_code, (await road.record(digest))["level"]) == (409, "high")
    # who proposes again sees what is now
    assert (await road.propose(digest, "medium")).is_success
    states = [proposal["status"] for proposal in (await road.record(digest))["proposals"]]
    assert states == ["open", "overtaken"]


async def test_raising_over_the_api_needs_nobody_and_ends_an_open_proposal(road: Road) -> None:
    name = await road.registered("medium")
    await road.deployed(name)
    digest = (await road.version(name))["digest"]
    await road.propose(digest, "low")
    raised = (await road.propose(digest, "high", EVE)).json()
    assert (raised["level"], raised["source"], raised["proposals"][0]["status"]) == ("high", "person", "overtaken")
    assert (await road.version(name))["risk_level"] == "high"


async def test_two_who_decide_at_once_are_one_outcome(road: Road, digest: str) -> None:
    await road.propose(digest, "low")
    proposal = (await road.record(digest))["proposals"][0]["id"]
    answers = await asyncio.gather(
        *(road.decide(digest, f"m{n}@company.com", "manager", proposal=proposal) for n in range(3)),
        *(road.decide(digest, f"n{n}@company.com", "manager", decision="refuse", proposal=proposal) for n in range(3)),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]


async def test_many_who_classify_the_same_bytes_at_once_leave_one_record(road: Road) -> None:
    name = await road.registered("high")
    answers = await asyncio.gather(*(road.deployed(name) for _ in range(1)), *(_measured(road, name) for _ in range(5)))
    assert answers[0]["status"] == "pending_approval"
    digest = (await road.version(name))["digest"]
    assert (await road.record(digest))["changes"] == 1


async def _measured(road: Road, name: str) -> dict[str, Any]:
    body = {"gate": "validate"}
    answer = await road.asked("POST", f"/models/{name}/versions/1/gates", ANA, "data-scientist", body=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


async def test_one_open_proposal_and_every_wrong_word_is_a_sentence(road: Road, digest: str) -> None:
    assert (await road.propose(digest, "high")).status_code == 409
    assert (await road.propose(digest, "low")).is_success
    assert (await road.propose(digest, "medium", EVE)).status_code == 409
    assert (await road.decide(digest, MAX, "manager", proposal="another")).status_code == 404
    refused = {"proposal": (await road.record(digest))["proposals"][0]["id"], "decision": "refuse", "comment": " "}
    answer = await road.asked("POST", f"/risk/records/{digest}/decisions", MAX, "manager", body=refused)
    assert answer.status_code == 422
    assert (await road.decide(digest, MAX, "manager", decision="refuse")).json()["proposals"][0]["status"] == "refused"
    assert (await road.decide(digest, MAX, "manager")).status_code == 409
    unknown = "sha256:" + "0" * 64
    assert (await road.propose(unknown, "low")).status_code == 404
    assert (await road.propose("sha256:zz", "low")).status_code == 422
    assert (
        await road.asked("GET", f"/risk/records/{digest}", ANA, "data-scientist", tenant="other")
    ).status_code == 404


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE risk_records SET level = 'low'",
        "UPDATE risk_records SET level = 'low', changes = changes + 1",
        "UPDATE risk_proposals SET status = 'confirmed', decided_by = 'max@company.com'",
        "UPDATE risk_proposals SET proposed_by = 'max@company.com'",
        "INSERT INTO risk_records SELECT 'sha256:x', 'low', source, changed_by, changed_at, reason, 1 FROM risk_records",
    ],
)
async def test_a_level_written_by_sql_is_found(road: Road, digest: str, statement: str) -> None:
    await road.propose(digest, "low")
    async with road.ground.services.database.session() as session:
        await session.execute(text(statement))
    async with road.ground.services.database.read_session() as session:
        assert not (await verify(session, patience=0)).intact
