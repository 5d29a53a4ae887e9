"""What one model that answers does for its callers. All tests of this file share it: none may change what serves."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from mlops_platform.adapters.mlflow.registry import MlflowRegistry
from mlops_platform.builds.gate_runs import measure_waiting
from mlops_platform.identity.scrape_token import scrape_token
from mlops_platform.kit.clock import now
from mlops_platform.predictions.interfaces import Account

from ...conftest import client_for
from ..conftest import COLUMNS, Road


async def test_production_takes_only_what_runs_in_staging(
    live_model: tuple[Road, str, str], log_model: Callable[..., str]
) -> None:
    road, name, _ = live_model
    skipped = await road.deploy(log_model("low"), stage="production")
    assert (skipped.status_code, skipped.json()["type"]) == (409, "/problems/stage-skipped")
    skips_the_gates = await road.deploy(name, stage="production")
    assert (skips_the_gates.status_code, skips_the_gates.json()["type"]) == (409, "/problems/gates-not-passed")
    asked = {"gate": "performance"}
    await road.ask(
        "POST", f"/api/v1/models/{name}/versions/1/gates", road.as_("ana@company.com", "data-scientist"), json=asked
    )
    await measure_waiting(road.services)
    held = (await road.deploy(name, stage="production")).json()
    needed = (
        await road.ask("GET", f"/api/v1/approvals/{held['approval_id']}", road.as_("max@company.com", "manager"))
    )["missing"]
    assert sorted(needed) == ["architect", "manager"]
    retired = await road.deploy(name, stage="retired")
    assert retired.status_code == 422


async def test_other_tenants_see_and_use_nothing(live_model: tuple[Road, str, str]) -> None:
    road, name, deployment_id = live_model
    stranger = road.as_("eve@company.com", "ml-engineer", "manager", "data-scientist", tenant="another")
    approval_id = (await road.ask("GET", "/api/v1/approvals", road.as_("v@company.com", "viewer")))["items"][0]["id"]
    for method, path, body in (
        ("GET", f"/api/v1/models/{name}", None),
        ("GET", f"/api/v1/models/{name}/versions", None),
        ("GET", f"/api/v1/models/{name}/versions/1", None),
        ("DELETE", f"/api/v1/models/{name}", None),
        ("DELETE", f"/api/v1/models/{name}/versions/1", None),
        ("GET", f"/api/v1/deployments/{deployment_id}", None),
        ("POST", f"/api/v1/deployments/{deployment_id}/undeploy", {}),
        ("GET", f"/api/v1/approvals/{approval_id}", None),
        ("POST", f"/api/v1/approvals/{approval_id}/decisions", {"decision": "approve"}),
        ("POST", "/api/v1/predict", {"model_name": name, "input_data": {}}),
        ("GET", f"/v2/models/{name}", None),
    ):
        answer = await road.client.request(method, path, headers=stranger, json=body)
        assert answer.status_code == 404, f"{method} {path} answered {answer.status_code}"
    for path in ("/api/v1/models", "/api/v1/deployments", "/api/v1/approvals"):
        assert (await road.ask("GET", path, stranger))["items"] == []
    again = await road.deploy(name, who=stranger)
    assert again.status_code == 404


async def test_every_answered_row_is_in_the_log(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    log = road.services.prediction_log
    before = log.account()
    batch = [{"age": float(index), "income": 0.0, "visits": 1.0} for index in range(7)]
    await road.predict_when_routed(name, input_data=batch)
    await road.predict_when_routed(name, input_data={"age": [1.0, 2.0], "income": [0.0, 0.0], "visits": [1.0, 1.0]})
    log.close()
    log.move()
    after = log.account()
    assert after == Account(stored=before.stored + before.pending + 9, pending=0, dropped=0)
    assert len(log.window(name, 1, now() - timedelta(minutes=5), 3)) == 3


async def test_predictions_go_on_and_are_counted_when_the_log_cannot_be_written(
    live_model: tuple[Road, str, str],
) -> None:
    road, name, _ = live_model
    log = road.services.prediction_log
    log.close()
    segments = road.services.settings.home / "predictions" / "segments"
    aside = segments.rename(segments.with_name("aside"))
    segments.write_text("a file where the folder was: nothing can be opened below it")
    before, counted = log.account().dropped, REGISTRY.get_sample_value("prediction_log_dropped_total") or 0
    try:
        for _ in range(3):
            await road.predict_when_routed(name)
        assert log.account().dropped == before + 3
        assert REGISTRY.get_sample_value("prediction_log_dropped_total") == counted + 3
        scraper = {"Authorization": f"Bearer {scrape_token(road.services.settings.scrape_token)}"}
        checks = (await road.client.get("/ready", headers=scraper)).json()["checks"]
        assert not checks["prediction_log"]["ok"]
    finally:
        segments.unlink()
        aside.rename(segments)
    await road.predict_when_routed(name)
    assert log.account().dropped == before + 3


async def test_wrong_inputs_are_explained_one_by_one(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    answer = await road.predict(name, input_data={"age": "old", "income": None, "height": 1})
    assert answer.status_code == 422
    found = {problem["pointer"]: problem["detail"] for problem in answer.json()["errors"]}
    assert set(found) == {"/input_data/age", "/input_data/income", "/input_data/height", "/input_data/visits"}
    headers = {**road.as_("ana@company.com", "data-scientist"), "content-type": "application/json"}
    broken = await road.client.post("/api/v1/predict", content=b'{"model_name": ', headers=headers)
    assert (broken.status_code, broken.headers["content-type"]) == (400, "application/problem+json")
    nan = b'{"model_name": "%s", "input_data": {"age": NaN, "income": 1, "visits": 1}}' % name.encode()
    assert (await road.client.post("/api/v1/predict", content=nan, headers=headers)).status_code in {400, 422}
    large = await road.client.post("/api/v1/predict", content=b"x" * 10_000_000, headers=headers)
    assert (large.status_code, large.json()["type"]) == (413, "/problems/body-too-large")
    too_large = await road.client.post("/api/v1/models/deploy", content=b"x" * 10_000_000, headers=headers)
    assert too_large.status_code == 413


async def test_the_open_inference_protocol_answers_the_same(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    me = road.as_("ana@company.com", "data-scientist")
    assert (await road.client.get("/v2/health/live")).json() == {"live": True}
    assert (await road.client.get("/v2/health/ready")).json() == {"ready": True}
    described = await road.ask("GET", f"/v2/models/{name}/versions/1", me)
    assert [tensor["name"] for tensor in described["inputs"]] == COLUMNS
    assert (await road.ask("GET", f"/v2/models/{name}/ready", me))["ready"]
    tensor = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP64", "data": [1.0, 0.5, 0.1, -1.0, 0.0, 0.0]}]}
    answer = await road.ask("POST", f"/v2/models/{name}/infer", me, json=tensor)
    assert answer["outputs"][0]["data"][0] == pytest.approx((await road.predict_when_routed(name))["prediction"][0])
    columns = {"inputs": [{"name": column, "shape": [1], "datatype": "FP64", "data": [0.5]} for column in COLUMNS]}
    assert (await road.ask("POST", f"/v2/models/{name}/infer", me, json=columns))["outputs"][0]["shape"] == [1]
    wrong = await road.client.post(f"/v2/models/{name}/infer", json={"inputs": []}, headers=me)
    assert (wrong.status_code, list(wrong.json())) == (422, ["error", "errors"])
    assert (await road.client.post(f"/v2/models/{name}/infer", json=tensor)).status_code == 401


async def test_without_mlflow_what_needs_it_is_503_and_reading_goes_on(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    scientist = road.as_("ana@company.com", "data-scientist")
    async with client_for(road.services, registry=MlflowRegistry("http://127.0.0.1:9")) as client:
        without = Road(road.services, client, road.as_)
        refused = await without.deploy(name, "9")
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/registry-unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        metadata = {"name": "another", "risk_level": "low", "owner": "ana@company.com"}
        body = {"metadata": metadata, "model_uri": "runs:/abc/model"}
        assert (await client.post("/api/v1/models/register", json=body, headers=scientist)).status_code == 503
        assert (await client.get(f"/api/v1/models/{name}", headers=scientist)).is_success
        assert (await without.predict(name)).is_success
        assert (await client.get("/ready")).status_code == 503
