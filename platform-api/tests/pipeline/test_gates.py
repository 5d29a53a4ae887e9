"""Gates at the API: production requires them for exactly one digest, and nobody gets around them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mlops_platform.builds.gate_runs import measure_waiting
from mlops_platform.kit.clock import now

from ..flows.conftest import Road

ENGINEER = ("eng@company.com", "ml-engineer")
PIPELINE = ("pipeline@company.com", "service", "ml-engineer")


def _path(name: str, rest: str = "") -> str:
    return f"/api/v1/models/{name}/versions/1/gates{rest}"


async def _measure(
    road: Road, name: str, gate: str, who: tuple[str, ...] = ("ana@company.com", "data-scientist")
) -> Any:
    """Ask the platform to measure, let the worker do it, return the result."""
    asked = await road.client.post(_path(name), json={"gate": gate, "fresh": True}, headers=road.as_(*who))
    assert asked.status_code == 202, asked.text
    assert asked.json()["state"] == "waiting"
    await measure_waiting(road.services)
    seen = await road.ask("GET", _path(name, f"/{gate}"), road.as_("v@company.com", "viewer"))
    assert seen["state"] == "done"
    return seen["result"]


async def _open(road: Road, name: str, environment: str = "production") -> dict[str, str]:
    answer = await road.ask("GET", _path(name, f"?environment={environment}"), road.as_("v@company.com", "viewer"))
    return {one["gate"]: one["state"] for one in answer["open"]}


async def test_staging_demands_nothing_and_production_names_every_open_gate(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    assert await _open(road, name, "staging") == {}
    refused = await road.deploy(name, stage="production")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/gates-not-passed")
    # the worker's build for staging has answered validate and scan; performance was measured by nobody
    assert [(error["pointer"], error["state"]) for error in refused.json()["errors"]] == [
        ("/gates/performance", "missing")
    ]
    assert f"mlops pipeline performance {name} 1" in refused.json()["detail"]


async def test_what_the_platform_measured_opens_production(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    result = await _measure(road, name, "performance")
    assert (result["status"], result["source"], result["actor"]) == ("passed", "platform", "worker")
    assert result["detail"]["requests"] == 100
    assert result["detail"]["errors"] == 0
    assert 0 < result["detail"]["p50_ms"] <= result["detail"]["p95_ms"] <= result["detail"]["p99_ms"]
    assert (await road.deploy(name, stage="production")).json()["status"] == "pending_approval"


async def test_a_stale_result_and_one_for_other_bytes_open_nothing(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    await _measure(road, name, "performance")
    async with road.services.database.session() as session:
        await session.execute(
            text("UPDATE gate_results SET expires_at = :past WHERE gate = 'scan'"),
            {"past": now() - timedelta(seconds=1)},
        )
    assert (await road.deploy(name, stage="production")).json()["errors"][0]["state"] == "stale"
    assert await _open(road, name) == {"scan": "stale"}
    assert (await _measure(road, name, "scan"))["status"] == "passed"
    assert await _open(road, name) == {}
    async with road.services.database.session() as session:
        await session.execute(text("UPDATE gate_results SET digest = 'sha256:other'"))
    assert await _open(road, name) == {"validate": "missing", "scan": "missing", "performance": "missing"}


async def test_a_failed_gate_is_overridden_only_by_a_person_with_the_role_and_a_reason(
    road: Road, log_model: Callable[..., str]
) -> None:
    name = log_model("low", slo_p95_ms="0.001")
    await road.until((await road.deploy(name)).json()["deployment_id"], "live")
    result = await _measure(road, name, "performance")
    assert (result["status"], result["detail"]["limit_p95_ms"]) == ("failed", 0.001)
    assert await _open(road, name) == {"performance": "failed"}
    path, body = _path(name, "/performance/override"), {"reason": "the caller's own budget is 50 ms; agreed with Ana"}
    by_scientist = await road.client.post(path, json=body, headers=road.as_("ana@company.com", "data-scientist"))
    assert by_scientist.status_code == 403
    by_pipeline = await road.client.post(path, json=body, headers=road.as_(*PIPELINE))
    assert (by_pipeline.status_code, by_pipeline.json()["type"]) == (403, "/problems/override-needs-person")
    assert (await road.client.post(path, json={"reason": ""}, headers=road.as_(*ENGINEER))).status_code == 422
    done = await road.ask("POST", path, road.as_(*ENGINEER), json=body)
    assert (done["status"], done["actor"], done["source"]) == ("overridden", "eng@company.com", "person")
    assert await _open(road, name) == {}
    again = await road.client.post(path, json=body, headers=road.as_(*ENGINEER))
    assert (again.status_code, again.json()["type"]) == (409, "/problems/nothing-to-override")
    events = await road.ask(
        "GET",
        f"/api/v1/audit/events?action=check:gate:overridden&resource=model:{name}:1",
        road.as_("aud@company.com", "auditor"),
    )
    assert [event["details"]["sentence"] for event in events["items"]] == [body["reason"]]
    assert (await road.ask("GET", "/api/v1/audit/verify", road.as_("aud@company.com", "auditor")))["intact"]


async def test_figures_of_a_caller_are_judged_by_the_platform_and_only_for_what_answers(
    live_model: tuple[Road, str, str],
) -> None:
    road, name, _ = live_model
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
        return await road.client.post(_path(name, "/performance"), json={**good, **changed}, headers=road.as_(*who))

    assert (await send(("ana@company.com", "data-scientist"))).status_code == 403
    assert (await send(revision=7)).json()["type"] == "/problems/nothing-answers"
    assert (await send(environment="production")).json()["type"] == "/problems/nothing-answers"
    assert (await send(requests=20)).json()["status"] == "failed", "too few requests prove nothing"
    assert (await send(errors=2)).json()["status"] == "failed"
    assert (await send(p95_ms=201.0)).json()["status"] == "failed"
    assert (await send(status="passed")).status_code == 422, "nobody says how it ended but the platform"
    assert (await send()).json()["status"] == "passed"
    for gate in ("validate", "scan"):
        told = await road.client.post(_path(name, f"/{gate}"), json=good, headers=road.as_(*PIPELINE))
        assert told.status_code == 405, "the platform takes nobody's word for what its own build finds"


async def test_a_gate_that_fails_while_people_decide_stops_the_deployment(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    await _measure(road, name, "performance")
    held = (await road.deploy(name, stage="production")).json()
    body = {
        "environment": "staging",
        "revision": 1,
        "requests": 100,
        "errors": 90,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "p99_ms": 3.0,
        "seconds": 0.2,
    }
    await road.ask("POST", _path(name, "/performance"), road.as_(*PIPELINE), json=body)
    await road.decide(held["approval_id"], "max@company.com", "manager")
    await road.decide(held["approval_id"], "art@company.com", "architect")
    shown = await road.until(held["deployment_id"], "failed")
    assert "gate performance: 90.0% of 100 requests failed" in shown["revisions"][0]["reason"]


async def test_other_tenants_neither_see_nor_measure_gates(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    stranger = road.as_("eve@company.com", "ml-engineer", "service", tenant="another")
    for method, rest, body in (
        ("GET", "", None),
        ("GET", "/results", None),
        ("GET", "/scan", None),
        ("POST", "", {"gate": "scan"}),
        ("POST", "/smoke", {"environment": "staging", "revision": 1, "problems": []}),
    ):
        answer = await road.client.request(method, _path(name, rest), json=body, headers=stranger)
        assert answer.status_code == 404, f"{method} {rest} answered {answer.status_code}"


@pytest.mark.whole("brings a model to life for a repeated request")
async def test_asking_twice_is_one_measurement_and_a_passed_result_is_not_measured_again(
    live_model: tuple[Road, str, str],
) -> None:
    road, name, _ = live_model
    me = road.as_("ana@company.com", "data-scientist")
    known = (await road.client.post(_path(name), json={"gate": "scan"}, headers=me)).json()
    assert (known["state"], known["result"]["status"]) == ("done", "passed")
    for _ in range(3):
        await road.client.post(_path(name), json={"gate": "performance"}, headers=me)
    async with road.services.database.read_session() as session:
        assert await session.scalar(text("SELECT count(*) FROM measurements WHERE state = 'waiting'")) == 1


@pytest.mark.parametrize(
    ("tags", "examples", "sentence"),
    [
        ({"risk_level": "medium"}, 1, None),
        ({"risk_level": "medium"}, 0, "it has no input example that fits"),
        ({}, 1, "no risk level was declared"),
        ({"risk_level": "low", "owner": ""}, 1, "nobody owns it"),
    ],
)
async def test_validation_says_what_is_missing(
    road: Road, log_model: Callable[..., str], tags: dict[str, str], examples: int, sentence: str | None
) -> None:
    name = log_model(tags.pop("risk_level", None), examples=examples, **tags)
    result = await _measure(road, name, "validate")
    assert result["status"] == ("passed" if sentence is None else "failed")
    assert sentence is None or sentence in result["sentence"]


async def test_a_bundle_that_was_changed_after_signing_is_never_started_and_built_anew_when_asked_again(
    road: Road, log_model: Callable[..., str]
) -> None:
    name = log_model()
    held = (await road.deploy(name)).json()
    await road.work()
    [bundle] = road.services.settings.bundle_dir.glob(f"[!.]*-{name}-1")
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes() + b"\0")
    await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")
    await road.decide(held["approval_id"], "max@company.com", "manager")
    shown = await road.until(held["deployment_id"], "failed")
    assert "not those this platform signed" in shown["revisions"][0]["reason"]
    assert not list((road.services.settings.runtime_dir / "specs").glob("*.json"))
    again = (await road.deploy(name)).json()
    await road.decide(again["approval_id"], "sam@company.com", "senior-data-scientist")
    await road.decide(again["approval_id"], "max@company.com", "manager")
    await road.until(again["deployment_id"], "live")
    await road.predict_when_routed(name)


async def test_the_console_shows_who_decides_what_was_found_about_exactly_these_bytes(
    live_model: tuple[Road, str, str],
) -> None:
    road, name, _ = live_model
    token = road.as_("max@company.com", "manager")["Authorization"].removeprefix("Bearer ")
    assert (await road.client.post("/console/sign-in", data={"token": token})).status_code == 303
    page = (await road.client.get(f"/console/models/{name}/versions/1")).text
    assert "Staging requires no gates at medium risk." in page
    assert '<td>performance</td><td><span class="state missing">missing</span></td>' in page
    measured = await _measure(road, name, "performance")
    held = (await road.deploy(name, stage="production")).json()
    approval = (await road.client.get(f"/console/approvals/{held['approval_id']}")).text
    assert "What production requires of this exact version at medium risk" in approval
    for gate in ("validate", "scan", "performance"):
        assert f'<td>{gate}</td><td><span class="state passed">passed</span></td>' in approval
    assert measured["sentence"] in approval
    assert "{&#39;" not in page, "a record is read by people, not by Python"
