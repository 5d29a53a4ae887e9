"""What somebody may do to a thing is asked with the thing's tenant: two roles never add up to a third."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from mlops_platform.app import create_control_plane
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.sessions import COOKIE, form_token
from mlops_platform.database.session import Database
from mlops_platform.failing.tables import FailingItemRow
from mlops_platform.identity.authorizer import OWNABLE, Authorizer
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.kit.clock import now
from mlops_platform.notifications.tables import DeliveryRow, NoticeRow
from tests.attacks.remembered_features import RememberedFeatures, view
from tests.conftest import client_for
from tests.house.test_routes import ABROAD, MATRIX, OWN, _api_routes, _permissions
from tests.support.bundles import halves
from tests.support.ground import Ground
from tests.support.parts import quick

HOME, AWAY = "default", "other"
_FIGURES = {"requests": 100, "errors": 0, "p50_ms": 1, "p95_ms": 1, "p99_ms": 1, "seconds": 1}
_PLACE = {"environment": "staging", "revision": 99}
# what a company-wide reader may see of another team's
READ_BY = {
    "models": "model:read",
    "risk": "model:read",
    "deployments": "deployment:read",
    "approvals": "approval:read",
    "failing-items": "deployment:read",
    "access": "identity:review",
}


@dataclass(frozen=True)
class Way:
    """One way to touch the home team's things; `{...}` is filled in. What is sent is refused late, so that nothing breaks."""

    method: str
    path: str
    action: str
    body: Any = None
    template: str = ""
    """The route, where it differs from `path`."""

    @property
    def route(self) -> tuple[str, str]:
        return self.method, self.template or self.path


_RISK = "/api/v1/risk/records/{digest}"
_V = "/api/v1/models/{model_name}/versions/{version}"
_DEPLOY = {"model_name": "{model_name}", "model_version": "1", "target_stage": "staging", "justification": "x"}
WAYS = (
    Way("POST", "/api/v1/models/deploy", "deployment:create", _DEPLOY),
    *(
        Way(
            "POST",
            f"/api/v1/deployments/{{deployment_id}}/{done}",
            "deployment:operate",
            {"reason": ""},
            "/api/v1/deployments/{deployment_id}/{operation}",
        )
        for done in ("undeploy", "rollback")
    ),
    Way("DELETE", _V, "model:delete"),
    Way("DELETE", "/api/v1/models/{model_name}", "model:delete"),
    Way("POST", f"{_V}/gates", "gate:measure", {"gate": "scan"}),
    Way("POST", f"{_V}/gates/performance", "gate:record", {**_PLACE, **_FIGURES}),
    Way("POST", f"{_V}/gates/smoke", "gate:record", {**_PLACE, "problems": ["x"]}),
    Way(
        "POST",
        f"{_V}/gates/smoke/override",
        "gate:override",
        {"reason": "because I say so"},
        f"{_V}/gates/{{gate}}/override",
    ),
    Way("POST", f"{_V}/runs", "gate:record", {"run": "1", "environment": "staging", "status": "success"}),
    Way("POST", "/api/v1/approvals/{approval_id}/decisions", "approval:decide", {"decision": "approve"}),
    Way("POST", "/api/v1/approvals/{approval_id}/withdraw", "approval:withdraw", {"reason": "x"}),
    Way("POST", "/api/v1/features/push", "feature:write", {"view": "mine", "rows": {"customer": ["c"], "value": [1]}}),
    Way("POST", "/api/v1/features/materialize", "feature:write", {"views": ["mine"]}),
    Way("POST", "/api/v1/approvals/{approval_id}/revoke", "approval:decide", {"reason": "x"}),
    Way("POST", f"{_RISK}/proposals", "risk:propose", {"level": "medium", "reason": "x"}),
    Way("POST", f"{_RISK}/decisions", "risk:lower", {"proposal": "x", "decision": "refuse"}),
    Way(
        "POST",
        "/api/v1/notifications/undelivered/{delivery_id}/retry",
        "metrics:read",
    ),
    Way("POST", "/api/v1/failing-items/retries", "deployment:operate", {"job": "poison", "item": "one"}),
    Way("POST", "/api/v1/audit/erasures", "identity:erase", {"subject": "ana@company.com"}),
    Way("POST", "/api/v1/people/sign-out", "identity:sign-out", {"subject": "ana@company.com", "reason": "x"}),
    Way(
        "POST",
        "/api/v1/access/reviews",
        "identity:review",
        {"subject": "ana@company.com", "roles": [], "verdict": "confirm"},
    ),
    # reading what only those read who may also ask the model
    Way("GET", f"{_V}/example", "prediction:create"),
)
# they make something of the caller's own, or nothing at all
MAKE_ONES_OWN = {
    ("POST", "/api/v1/models/register"),
    ("POST", "/api/v1/risk/assess"),
    ("PATCH", "/api/v1/notifications/settings"),
    ("POST", "/api/v1/me/sign-out"),
    ("POST", "/api/v1/me/elevations"),
    ("DELETE", "/api/v1/me/elevations"),
}
REFUSED = {"/problems/not-permitted", "/problems/not-your-view"}
HIDDEN = {"/problems/not-failing", "/problems/person-not-seen"} | {
    f"/problems/{kind}-not-found"
    for kind in (
        "model",
        "model-version",
        "deployment",
        "approval",
        "feature-view",
        "risk-record",
        "dead-letter",
        "person",
    )
}


@dataclass
class World:
    """The home team's model, which answers in staging, another version that waits for approval, and a feature view."""

    services: BuiltServices
    client: httpx.AsyncClient
    token: Callable[..., dict[str, str]]
    names: dict[str, str]

    async def go(self, way: Way, roles: frozenset[str], tenant: str) -> str:
        """Return what came of it: refused (by a permission), hidden, or 'went on' to whatever the rest of the rules says."""
        body = way.body
        if isinstance(body, dict):
            body = {key: value.format(**self.names) if isinstance(value, str) else value for key, value in body.items()}
        answer = await self.client.request(
            way.method,
            way.path.format(**self.names),
            json=body,
            headers=self.token("eve@company.com", *(roles or {"no-role"}), tenant=tenant),
        )
        assert answer.status_code != 401, answer.text
        assert answer.status_code < 500, answer.text
        kind = answer.json().get("type") if answer.status_code >= 400 else ""
        return "refused" if kind in REFUSED else "hidden" if kind in HIDDEN else "went on"


async def _dead_letter(database: Database) -> str:
    """Let a notice of the home team, and an item of a job, be refused for good."""
    async with database.session() as session:
        notice = (await session.scalars(select(NoticeRow).where(NoticeRow.tenant == HOME).limit(1))).one()
        end = {"state": "dead", "attempts": 5, "next_at": now(), "problem": "refused", "ended_at": now()}
        place = {"channel": "email", "recipient": "x@company.com", "lane": "x", "message_id": None}
        failed = {"what": "x", "attempts": 9, "since": now(), "failed_at": now(), "next_try_at": now(), "error": "x"}
        session.add(FailingItemRow(job="poison", item="one", tenant=HOME, gave_up=True, **failed))
        session.add(DeliveryRow(id="dead", notice_id=notice.id, seq=notice.seq, **place, **end))
    return "dead"


@pytest.fixture
async def world(services: BuiltServices, as_: Callable[..., dict[str, str]]) -> AsyncIterator[World]:
    parts = replace(quick(services), features=RememberedFeatures(view("mine", tenant=HOME)))
    await services.signer.sign(halves(services.settings.home / "prepared"))
    async with client_for(parts) as client:
        at = Ground(parts, client, as_("ana@company.com", "data-scientist"), as_)
        await at.registered(1, "medium")
        await at.another_version(at.names[0], "medium")
        asked = {"model_name": at.names[0], "target_stage": "staging", "justification": "x"}
        held = await at.ask("POST", "/models/deploy", {**asked, "model_version": "1"})
        async with parts.database.session() as session:
            await session.execute(text("UPDATE revisions SET state = 'live', approval_id = NULL"))
        waiting = await at.ask("POST", "/models/deploy", {**asked, "model_version": "2"})
        names = {
            "model_name": at.names[0],
            "version": "1",
            "digest": (await at.ask("GET", f"/models/{at.names[0]}/versions/1"))["digest"],
            "deployment_id": held["deployment_id"],
            "approval_id": waiting["approval_id"],
            "delivery_id": await _dead_letter(parts.database),
        }
        yield World(parts, client, as_, names)


def _expected(way: Way, roles: frozenset[str], tenant: str) -> str:
    """The rules, slowly and obviously: the matrices are those of docs/governance/roles.md, written out by hand."""
    here = {action for role in roles for action in MATRIX[role]}
    possibly_own = {action for role in roles for action in OWN.get(role, set())}
    abroad = {action for role in roles for action in ABROAD.get(role, set())}
    if way.action not in here | (possibly_own & OWNABLE):
        return "refused"
    if way.action == "approval:decide" and "service" in roles:
        return "went on"
    if tenant == HOME:
        # nothing here is Eve's own
        return "went on" if way.action in here else "refused"
    thing = "features" if "/features/" in way.path else way.path.split("/")[3]
    if READ_BY.get(thing, "feature:read") not in abroad:
        return "hidden"
    return "went on" if way.action in abroad else "refused"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(WAYS),
    st.frozensets(st.sampled_from(sorted(role.value for role in Role)), max_size=4),
    st.sampled_from([HOME, AWAY]),
)
async def test_the_application_decides_as_the_obvious_rules_say(
    world: World, way: Way, roles: frozenset[str], tenant: str
) -> None:
    assert await world.go(way, roles, tenant) == _expected(way, roles, tenant)


@pytest.mark.parametrize("reviewer", ["auditor", "architect", "cab-member"])
async def test_an_engineer_who_also_reviews_writes_nothing_of_another_team(world: World, reviewer: str) -> None:
    roles = frozenset({"ml-engineer", reviewer, "team-lead", "senior-data-scientist", "manager"})
    found = {f"{way.method} {way.path}": await world.go(way, roles, AWAY) for way in WAYS}
    # auditors review access in every team: that is their task
    assert found.pop("POST /api/v1/access/reviews") == ("went on" if reviewer == "auditor" else "refused")
    # architects and cab-members decide on requests and on risk for every team: that is their task
    reviewed = {name: found.pop(name) for name in list(found) if "approvals/" in name or "risk/" in name}
    del reviewed["POST /api/v1/approvals/{approval_id}/withdraw"]
    assert set(reviewed.values()) == {"refused"} if reviewer == "auditor" else "went on" in reviewed.values()
    assert set(found.values()) <= {"refused", "hidden"}, found


async def test_a_reviewer_from_abroad_decides_as_a_reviewer_and_not_as_another_teams_manager(world: World) -> None:
    who = world.token("eve@company.com", "architect", "manager", "senior-data-scientist", tenant=AWAY)
    path = f"/api/v1/approvals/{world.names['approval_id']}/decisions"
    answer = await world.client.post(path, json={"decision": "approve"}, headers=who)
    # staging at medium risk waits for a manager and a senior data scientist, of this team
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/role-not-needed")
    own = world.token("eve@company.com", "architect", "manager", tenant=HOME)
    assert (await world.client.post(path, json={"decision": "approve"}, headers=own)).status_code == 200


async def test_the_console_asks_as_the_api_does(world: World) -> None:
    token = world.token("eve@company.com", "auditor", "manager", tenant=AWAY)["Authorization"].removeprefix("Bearer ")
    signed_in = await world.client.post("/console/sign-in", data={"token": token})
    assert signed_in.status_code == 303
    page = await world.client.get(f"/console/approvals/{world.names['approval_id']}")
    form = form_token(world.client.cookies[COOKIE])
    assert 'value="approve"' not in page.text, "a button that would be refused"
    for path, sent in (
        (f"/console/approvals/{world.names['approval_id']}", {"decision": "approve"}),
        (f"/console/deployments/{world.names['deployment_id']}/undeploy", {"reason": "x"}),
    ):
        answer = await world.client.post(path, data={"form_token": form, **sent})
        assert answer.status_code == 403, f"{path} answered {answer.status_code}"
        assert "needs one of the roles" in answer.text


async def test_every_route_that_changes_something_asks_with_the_tenant_of_the_thing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []
    allowed = Authorizer.allowed

    def noted(self: Authorizer, principal: Principal, action: str, tenant: str | None = None, **own: bool) -> bool:
        asked.append((action, tenant))
        return allowed(self, principal, action, tenant, **own)

    monkeypatch.setattr(Authorizer, "allowed", noted)
    known = {way.route for way in WAYS}
    for route in _api_routes(create_control_plane(world.services)):
        for method in route.methods - {"GET", "HEAD"}:
            if not route.path.startswith("/api/") or (method, route.path) in MAKE_ONES_OWN:
                continue
            assert (method, route.path) in known, f"{method} {route.path}: add how it is asked for another team's thing"
            assert _permissions(route.dependant) == [
                next(way.action for way in WAYS if way.route == (method, route.path))
            ]
    for way in WAYS:
        asked.clear()
        await world.go(way, frozenset({"platform-admin"}), AWAY)
        assert (way.action, HOME) in asked, f"{way.method} {way.path} never asked about the team whose thing it is"


async def test_two_decisions_at_once_by_one_person_from_two_teams_count_once(world: World) -> None:
    path = f"/api/v1/approvals/{world.names['approval_id']}/decisions"
    people = [world.token("max@company.com", "manager"), world.token("max@company.com", "senior-data-scientist")]
    sent = [world.client.post(path, json={"decision": "approve"}, headers=one) for one in people]
    assert sorted(answer.status_code for answer in await asyncio.gather(*sent)) == [200, 409]
