"""From a logged model to a governed, explained prediction."""

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select, text

from mlops_platform.approvals.jobs import expire_overdue
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.kit.clock import now
from mlops_platform.notifications.tables import NoticeRow
from mlops_platform.predictions.jobs import keep_backgrounds

from ..conftest import client_for
from .conftest import COLUMNS, Road, hostile_bytes


async def test_a_logged_model_becomes_a_governed_explained_prediction(
    road: Road, log_model: Callable[..., str], model: Any
) -> None:
    name = log_model()
    held = (await road.deploy(name)).json()
    assert held["status"] == "pending_approval"
    assert (await road.predict(name)).status_code == 404, "nothing answers before it is approved"
    await road.work()
    approval = await road.ask("GET", f"/api/v1/approvals/{held['approval_id']}", road.as_("max@company.com", "manager"))
    assert approval["digest"].startswith("sha256:")
    assert approval["policy_version"]

    assert (await road.decide(held["approval_id"], "max@company.com", "manager")).json()["status"] == "pending"
    assert (await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")).json()[
        "status"
    ] == "approved"
    shown = await road.until(held["deployment_id"], "live")
    assert shown["revisions"][0]["engine"] == "onnx"

    answer = await road.predict_when_routed(name, return_explanations=True)
    row = pd.DataFrame([[1.0, 0.5, 0.1]], columns=COLUMNS)
    assert answer["prediction"][0] == pytest.approx(model.predict_proba(row)[0, 1], abs=1e-6)
    assert answer["labels"] == [int(model.predict(row)[0])]
    assert (answer["model_version"], answer["revision"]) == ("1", 1)
    assert answer["prediction_id"]
    explained = answer["explanations"]
    total = explained["base_values"][0] + math.fsum(explained["shap_values"][0])
    assert total == pytest.approx(answer["prediction"][0], abs=1e-6), "base + attributions = the answer"

    detail = await road.ask("GET", f"/api/v1/models/{name}/versions/1", road.as_("v@company.com", "viewer"))
    assert detail["stage"] == "staging"
    assert {check["check"]: check["status"] for check in detail["checks"]}["parity"] == "passed"
    verified = await road.ask("GET", "/api/v1/audit/verify", road.as_("aud@company.com", "auditor"))
    assert verified["intact"]
    actions = {event["action"] for event in shown["history"]}
    assert {
        "deployment:revision:requested",
        "deployment:revision:built",
        "deployment:revision:state-changed",
    } <= actions


async def test_low_risk_needs_nobody_for_staging_and_missing_risk_counts_as_medium(
    road: Road, log_model: Callable[..., str]
) -> None:
    assert (await road.deploy(log_model("low"))).json()["status"] == "success"
    assert (await road.deploy(log_model(None))).json()["status"] == "pending_approval"


async def test_requester_cannot_approve_nor_anybody_twice_nor_without_the_role(
    road: Road, log_model: Callable[..., str]
) -> None:
    approval_id = (await road.deploy(log_model())).json()["approval_id"]
    own = await road.decide(approval_id, "ana@company.com", "manager")
    assert (own.status_code, own.json()["type"]) == (403, "/problems/approver-is-requester")
    assert (await road.decide(approval_id, "max@company.com", "manager")).is_success
    twice = await road.decide(approval_id, "max@company.com", "manager")
    assert (twice.status_code, twice.json()["type"]) == (409, "/problems/already-decided")
    second_manager = await road.decide(approval_id, "mia@company.com", "manager")
    assert (second_manager.status_code, second_manager.json()["type"]) == (403, "/problems/role-not-needed")
    assert (await road.decide(approval_id, "v@company.com", "viewer")).status_code == 403


async def test_those_who_must_decide_are_told_once_the_request_stands(
    services: BuiltServices, as_: Callable[..., dict[str, str]], log_model: Callable[..., str]
) -> None:
    name = log_model()
    async with client_for(services) as client:
        road = Road(services, client, as_)
        held = (await road.deploy(name)).json()
        await road.deploy("no-such-model")
    async with services.database.read_session() as session:
        [notice] = (await session.scalars(select(NoticeRow))).all()
    assert (notice.audience["roles"], notice.tenant) == (["manager", "senior-data-scientist"], "default")
    assert notice.page == f"/console/approvals/{held['approval_id']}"
    assert f"ana@company.com asks to bring {name} version 1 (medium risk) to staging" in notice.sentence


async def test_a_rejected_deployment_never_continues(road: Road, log_model: Callable[..., str]) -> None:
    name = log_model()
    held = (await road.deploy(name)).json()
    assert (await road.decide(held["approval_id"], "max@company.com", "manager", "reject")).json()[
        "status"
    ] == "rejected"
    late = await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")
    assert (late.status_code, late.json()["type"]) == (409, "/problems/approval-settled")
    for _ in range(3):
        await road.work()
    shown = await road.ask("GET", f"/api/v1/deployments/{held['deployment_id']}", road.as_("v@company.com", "viewer"))
    assert shown["revisions"][0]["state"] == "rejected"
    assert (await road.predict(name)).status_code == 404


async def test_an_expired_request_cannot_be_approved_and_never_continues(
    road: Road, log_model: Callable[..., str]
) -> None:
    held = (await road.deploy(log_model())).json()
    async with road.services.database.session() as session:
        await session.execute(text("UPDATE approvals SET expires_at = :past"), {"past": now() - timedelta(seconds=1)})
    late = await road.decide(held["approval_id"], "max@company.com", "manager")
    assert (late.status_code, late.json()["type"]) == (409, "/problems/approval-settled")
    await expire_overdue(road.services)
    await road.work()
    shown = await road.ask("GET", f"/api/v1/deployments/{held['deployment_id']}", road.as_("v@company.com", "viewer"))
    assert shown["revisions"][0]["state"] == "expired"


async def test_changed_bytes_are_not_deployed_even_when_approved(
    road: Road, log_model: Callable[..., str], artifact_root: Path
) -> None:
    name = log_model()
    before = set(artifact_root.rglob("MLmodel"))
    held = (await road.deploy(name)).json()
    await road.decide(held["approval_id"], "max@company.com", "manager")
    await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")
    newest = max(before, key=lambda path: path.stat().st_mtime)
    newest.write_text(newest.read_text() + "\n# changed\n")
    shown = await road.until(held["deployment_id"], "failed")
    assert "changed" in shown["revisions"][0]["reason"]
    assert (await road.predict(name)).status_code == 404


async def test_a_pickle_that_runs_code_is_refused_and_never_runs(
    road: Road, log_model: Callable[..., str], artifact_root: Path, tmp_path: Path
) -> None:
    name = log_model()
    newest = max(artifact_root.rglob("MLmodel"), key=lambda path: path.stat().st_mtime).parent
    marker = tmp_path / "owned"
    (newest / "extra.pkl").write_bytes(hostile_bytes(str(marker)))
    held = (await road.deploy(name)).json()
    await road.until(held["deployment_id"], "failed")
    assert not marker.exists()
    approval = await road.ask("GET", f"/api/v1/approvals/{held['approval_id']}", road.as_("max@company.com", "manager"))
    assert approval["status"] == "withdrawn"


async def test_two_versions_answer_and_a_rollback_brings_the_first_back(
    live_model: tuple[Road, str, str], log_model: Callable[..., str]
) -> None:
    road, name, deployment_id = live_model
    log_model(name=name)
    held = (await road.deploy(name, "2")).json()
    await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")
    await road.decide(held["approval_id"], "max@company.com", "manager")
    await road.until(deployment_id, "live")
    assert (await road.predict_when_routed(name, model_version="2"))["model_version"] == "2"
    assert (await road.predict_when_routed(name, model_version="1"))["model_version"] == "1", (
        "the standby stays addressable"
    )
    missing = await road.predict(name, model_version="7")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/version-not-live")
    operator = road.as_("eng@company.com", "ml-engineer")
    await road.ask("POST", f"/api/v1/deployments/{deployment_id}/rollback", operator, json={"reason": "worse"})
    await road.work()
    shown = await road.ask("GET", f"/api/v1/deployments/{deployment_id}", operator)
    assert {revision["version"]: revision["state"] for revision in shown["revisions"]} == {2: "rolled_back", 1: "live"}


async def test_a_deployed_version_cannot_be_deleted_until_it_is_undeployed(live_model: tuple[Road, str, str]) -> None:
    road, name, deployment_id = live_model
    engineer = road.as_("eng@company.com", "ml-engineer")
    refused = await road.client.delete(f"/api/v1/models/{name}/versions/1", headers=engineer)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/still-deployed")
    await road.ask("POST", f"/api/v1/deployments/{deployment_id}/undeploy", engineer, json={"reason": "not needed"})
    assert (await road.client.delete(f"/api/v1/models/{name}", headers=engineer)).is_success
    assert (await road.client.get(f"/api/v1/models/{name}", headers=engineer)).status_code == 404


@pytest.mark.whole("brings a model to life; tests/examples has the first explanation")
async def test_a_model_without_a_training_sample_is_explained_by_what_it_was_asked(
    road: Road, log_model: Callable[..., str]
) -> None:
    name = log_model("low", examples=0)
    await road.until((await road.deploy(name)).json()["deployment_id"], "live")
    first = await road.predict_when_routed(name, return_explanations=True)
    # its scaler keeps the training rows' means
    assert first["explanations"]["background"]["source"] == "training_statistics"
    assert math.fsum(first["explanations"]["shap_values"][0]) != 0
    for number in range(25):
        await road.predict(name, input_data={"age": number / 10, "income": 0.1 * number, "visits": -0.5})
    log = road.services.prediction_log
    log.close()
    log.move()
    await keep_backgrounds(road.services)
    later = await road.predict_when_routed(name, return_explanations=True)
    explained = later["explanations"]
    assert explained["background"] == {
        "source": "recent_inputs",
        "rows": 26,
        "detail": "Compared with inputs this model was asked before.",
    }
    total = explained["base_values"][0] + math.fsum(explained["shap_values"][0])
    assert total == pytest.approx(later["prediction"][0], abs=1e-6)
