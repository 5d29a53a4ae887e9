"""Gates at the API: production requires them for exactly one digest, and nobody gets around them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from mlops_platform.kit.clock import now

from ..flows.conftest import Road
from .gates import ENGINEER, PIPELINE, gates_path, measure, open_gates

_ANOTHER = pytest.mark.whole("another model is built for it")


async def test_a_stale_result_and_one_for_other_bytes_open_nothing(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    await measure(road, name, "performance")
    async with road.services.database.session() as session:
        await session.execute(
            text("UPDATE gate_results SET expires_at = :past WHERE gate = 'scan'"),
            {"past": now() - timedelta(seconds=1)},
        )
    assert (await road.deploy(name, stage="production")).json()["errors"][0]["state"] == "stale"
    assert await open_gates(road, name) == {"scan": "stale"}
    assert (await measure(road, name, "scan"))["status"] == "passed"
    assert await open_gates(road, name) == {}
    async with road.services.database.session() as session:
        await session.execute(text("UPDATE gate_results SET digest = 'sha256:other'"))
    assert await open_gates(road, name) == {"validate": "missing", "scan": "missing", "performance": "missing"}


async def test_a_failed_gate_is_overridden_only_by_a_person_with_the_role_and_a_reason(
    road: Road, log_model: Callable[..., str]
) -> None:
    name = log_model("low", slo_p95_ms="0.001")
    await road.until((await road.deploy(name)).json()["deployment_id"], "live")
    result = await measure(road, name, "performance")
    assert (result["status"], result["detail"]["limit_p95_ms"]) == ("failed", 0.001)
    assert await open_gates(road, name) == {"performance": "failed"}
    path, body = (
        gates_path(name, "/performance/override"),
        {"reason": "the caller's own budget is 50 ms; agreed with Ana"},
    )
    by_scientist = await road.client.post(path, json=body, headers=road.as_("ana@company.com", "data-scientist"))
    assert by_scientist.status_code == 403
    by_pipeline = await road.client.post(path, json=body, headers=road.as_(*PIPELINE))
    assert (by_pipeline.status_code, by_pipeline.json()["type"]) == (403, "/problems/override-needs-person")
    assert (await road.client.post(path, json={"reason": ""}, headers=road.as_(*ENGINEER))).status_code == 422
    done = await road.ask("POST", path, road.as_(*ENGINEER), json=body)
    assert (done["status"], done["actor"], done["source"]) == ("overridden", "eng@company.com", "person")
    assert await open_gates(road, name) == {}
    again = await road.client.post(path, json=body, headers=road.as_(*ENGINEER))
    assert (again.status_code, again.json()["type"]) == (409, "/problems/nothing-to-override")
    events = await road.ask(
        "GET",
        f"/api/v1/audit/events?action=check:gate:overridden&resource=model:{name}:1",
        road.as_("aud@company.com", "auditor"),
    )
    assert [event["details"]["sentence"] for event in events["items"]] == [body["reason"]]
    assert (await road.ask("GET", "/api/v1/audit/verify", road.as_("aud@company.com", "auditor")))["intact"]


async def test_a_gate_that_fails_while_people_decide_stops_the_deployment(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    await measure(road, name, "performance")
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
    await road.ask("POST", gates_path(name, "/performance"), road.as_(*PIPELINE), json=body)
    await road.decide(held["approval_id"], "max@company.com", "manager")
    await road.decide(held["approval_id"], "art@company.com", "architect")
    shown = await road.until(held["deployment_id"], "failed")
    assert "gate performance: 90.0% of 100 requests failed" in shown["revisions"][0]["reason"]


@pytest.mark.parametrize(
    ("tags", "examples", "sentence"),
    [
        pytest.param({"risk_level": "medium"}, 1, None, marks=_ANOTHER),
        ({"risk_level": "medium"}, 0, "it has no input example that fits"),
        pytest.param({}, 1, "no risk level was declared", marks=_ANOTHER),
        pytest.param({"risk_level": "low", "owner": ""}, 1, "nobody owns it", marks=_ANOTHER),
    ],
)
async def test_validation_says_what_is_missing(
    road: Road, log_model: Callable[..., str], tags: dict[str, str], examples: int, sentence: str | None
) -> None:
    name = log_model(tags.pop("risk_level", None), examples=examples, **tags)
    result = await measure(road, name, "validate")
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
