"""Gates of a version that answers in staging; each test begins without a measurement of its latency and without open requests."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from ...pipeline.gates import PIPELINE, gates_path, measure, open_gates
from ..conftest import Road


@pytest.fixture
async def unmeasured(live_model: tuple[Road, str, str]) -> AsyncIterator[tuple[Road, str]]:
    road, name, _ = live_model
    yield road, name
    me = road.as_("ana@company.com", "data-scientist")
    for request in (await road.ask("GET", f"/api/v1/approvals?model_name={name}&status=pending", me))["items"]:
        await road.ask("POST", f"/api/v1/approvals/{request['id']}/withdraw", me, json={"reason": "the test is over"})
    async with road.services.database.session() as session:
        await session.execute(text("DELETE FROM gate_results WHERE gate = 'performance'"))
        await session.execute(text("DELETE FROM measurements"))


async def test_staging_demands_nothing_and_production_names_every_open_gate(unmeasured: tuple[Road, str]) -> None:
    road, name = unmeasured
    assert await open_gates(road, name, "staging") == {}
    refused = await road.deploy(name, stage="production")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/gates-not-passed")
    # the worker's build for staging has answered validate and scan; performance was measured by nobody
    assert [(error["pointer"], error["state"]) for error in refused.json()["errors"]] == [
        ("/gates/performance", "missing")
    ]
    assert f"mlops pipeline performance {name} 1" in refused.json()["detail"]


async def test_what_the_platform_measured_opens_production(unmeasured: tuple[Road, str]) -> None:
    road, name = unmeasured
    result = await measure(road, name, "performance")
    assert (result["status"], result["source"], result["actor"]) == ("passed", "platform", "worker")
    assert result["detail"]["requests"] == 100
    assert result["detail"]["errors"] == 0
    assert 0 < result["detail"]["p50_ms"] <= result["detail"]["p95_ms"] <= result["detail"]["p99_ms"]
    assert (await road.deploy(name, stage="production")).json()["status"] == "pending_approval"


async def test_figures_of_a_caller_are_judged_by_the_platform_and_only_for_what_answers(
    unmeasured: tuple[Road, str],
) -> None:
    road, name = unmeasured
    good = {
        "environment": "staging",
        "revision": 1,
        "requests": 100,
        "errors": 0,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "p99_ms": 3.0,
        "seconds": 0.2,
    }

    async def send(who: tuple[str, ...] = PIPELINE, **changed: Any) -> Any:
        return await road.client.post(
            gates_path(name, "/performance"), json={**good, **changed}, headers=road.as_(*who)
        )

    assert (await send(("ana@company.com", "data-scientist"))).status_code == 403
    assert (await send(revision=7)).json()["type"] == "/problems/nothing-answers"
    assert (await send(environment="production")).json()["type"] == "/problems/nothing-answers"
    assert (await send(requests=20)).json()["status"] == "failed", "too few requests prove nothing"
    assert (await send(errors=2)).json()["status"] == "failed"
    assert (await send(p95_ms=201.0)).json()["status"] == "failed"
    assert (await send(status="passed")).status_code == 422, "nobody says how it ended but the platform"
    assert (await send()).json()["status"] == "passed"
    for gate in ("validate", "scan"):
        told = await road.client.post(gates_path(name, f"/{gate}"), json=good, headers=road.as_(*PIPELINE))
        assert told.status_code == 405, "the platform takes nobody's word for what its own build finds"


async def test_other_tenants_neither_see_nor_measure_gates(unmeasured: tuple[Road, str]) -> None:
    road, name = unmeasured
    stranger = road.as_("eve@company.com", "ml-engineer", "service", tenant="another")
    for method, rest, body in (
        ("GET", "", None),
        ("GET", "/results", None),
        ("GET", "/scan", None),
        ("POST", "", {"gate": "scan"}),
        ("POST", "/smoke", {"environment": "staging", "revision": 1, "problems": []}),
    ):
        answer = await road.client.request(method, gates_path(name, rest), json=body, headers=stranger)
        assert answer.status_code == 404, f"{method} {rest} answered {answer.status_code}"


async def test_asking_twice_is_one_measurement_and_a_passed_result_is_not_measured_again(
    unmeasured: tuple[Road, str],
) -> None:
    road, name = unmeasured
    me = road.as_("ana@company.com", "data-scientist")
    known = (await road.client.post(gates_path(name), json={"gate": "scan"}, headers=me)).json()
    assert (known["state"], known["result"]["status"]) == ("done", "passed")
    for _ in range(3):
        await road.client.post(gates_path(name), json={"gate": "performance"}, headers=me)
    async with road.services.database.read_session() as session:
        assert await session.scalar(text("SELECT count(*) FROM measurements WHERE state = 'waiting'")) == 1


async def test_the_console_shows_who_decides_what_was_found_about_exactly_these_bytes(
    unmeasured: tuple[Road, str],
) -> None:
    road, name = unmeasured
    token = road.as_("max@company.com", "manager")["Authorization"].removeprefix("Bearer ")
    assert (await road.client.post("/console/sign-in", data={"token": token})).status_code == 303
    page = (await road.client.get(f"/console/models/{name}/versions/1")).text
    assert "Staging requires no gates at medium risk." in page
    assert '<td>performance</td><td><span class="state missing">missing</span></td>' in page
    measured = await measure(road, name, "performance")
    held = (await road.deploy(name, stage="production")).json()
    approval = (await road.client.get(f"/console/approvals/{held['approval_id']}")).text
    assert "What production requires of this exact version at medium risk" in approval
    for gate in ("validate", "scan", "performance"):
        assert f'<td>{gate}</td><td><span class="state passed">passed</span></td>' in approval
    assert measured["sentence"] in approval
    assert "{&#39;" not in page, "a record is read by people, not by Python"
