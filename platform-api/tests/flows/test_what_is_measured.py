"""The worker's measuring jobs show what people did and what models were asked."""

from collections.abc import Callable

import numpy as np
from prometheus_client import REGISTRY
from sqlalchemy import text

from mlops_platform.approvals import jobs as approvals
from mlops_platform.audit import jobs as audit
from mlops_platform.deployments import gauges
from mlops_platform.kit.jobs import Job
from mlops_platform.models import jobs as models
from mlops_platform.monitoring import jobs as monitoring
from mlops_platform.predictions import jobs as predictions
from mlops_platform.worker import run_job

from .conftest import Road


def _value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_what_waits_for_whom_and_for_how_long(road: Road, log_model: Callable[..., str]) -> None:
    requested = _value("approval_requests_total", transition="staging", risk_level="medium") or 0
    decided = _value("approval_decisions_total", verdict="approve") or 0
    held = (await road.deploy(log_model())).json()
    await approvals.measure(road.services)
    assert _value("approvals_pending", role="manager") == 1
    assert _value("approvals_pending", role="senior-data-scientist") == 1
    assert _value("approvals_over_sla", role="manager") == 0
    async with road.services.database.session() as session:
        await session.execute(text("UPDATE approvals SET created_at = created_at - interval '49 hours'"))
    await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")
    await approvals.measure(road.services)
    assert _value("approvals_pending", role="senior-data-scientist") == 0, "that role has decided"
    assert _value("approvals_over_sla", role="manager") == 1
    assert 49 * 3_600 <= (_value("approvals_oldest_pending_seconds", role="manager") or 0) < 49.1 * 3_600
    assert _value("approval_sla_seconds", role="cab-member") == 120 * 3_600
    await road.decide(held["approval_id"], "max@company.com", "manager", "reject")
    await approvals.measure(road.services)
    assert _value("approvals_pending", role="manager") == 0
    assert _value("approval_requests_total", transition="staging", risk_level="medium") == requested + 1
    assert _value("approval_decisions_total", verdict="approve") == decided + 1
    assert (_value("approval_time_to_decision_seconds_sum", status="rejected") or 0) >= 49 * 3_600


async def test_what_is_live_and_what_is_built(live_model: tuple[Road, str, str]) -> None:
    road, _, deployment_id = live_model
    built = _value("build_runs_total", result="built") or 0
    assert built >= 1
    await gauges.update_gauges(road.services)
    await next(job for job in models.JOBS if job.name == "model-metrics").run(road.services)
    assert _value("deployments_live", environment="staging", risk_level="medium") == 1
    assert _value("deployment_revisions", environment="staging", state="live") == 1
    assert _value("models_in_production") == 0
    async with road.services.database.read_session() as session:
        # the registry mirror may have brought other tests' models
        models_known = await session.scalar(text("SELECT count(*) FROM models WHERE tenant = 'default'"))
    assert models_known
    assert _value("models_registered", tenant="default") == models_known
    assert _value("model_versions", stage="staging") == 1
    before = _value("deployment_operations_total", operation="undeploy") or 0
    operator = road.as_("max@company.com", "manager")
    await road.ask("POST", f"/api/v1/deployments/{deployment_id}/undeploy", operator, json={"reason": "test"})
    assert _value("deployment_operations_total", operation="undeploy") == before + 1
    await gauges.update_gauges(road.services)
    assert _value("deployments_live", environment="staging", risk_level="medium") == 0


async def test_an_edited_audit_log_is_seen_by_the_worker(live_model: tuple[Road, str, str]) -> None:
    road, _, _ = live_model
    verify = next(job for job in audit.JOBS if job.name == "audit-verification")
    await verify.run(road.services)
    assert _value("audit_verification_ok") == 1
    assert (_value("audit_log_events") or 0) >= 5, "asked, twice decided, settled, deployed"
    seen = _value("audit_last_verification_timestamp_seconds") or 0
    async with road.services.database.session() as session:
        await session.execute(text("UPDATE audit_events SET resource = 'model:other' WHERE seq = 2"))
    await verify.run(road.services)
    assert _value("audit_verification_ok") == 0
    assert (_value("audit_verification_problems") or 0) >= 1
    assert (_value("audit_last_verification_timestamp_seconds") or 0) > seen


async def test_inputs_that_moved_away_are_drift_and_calm_ones_are_not(live_model: tuple[Road, str, str]) -> None:
    road, name, _ = live_model
    random = np.random.default_rng(11)
    for _ in range(120):
        row = {"age": float(random.normal(4)), "income": float(random.normal()), "visits": 1e6}
        await road.predict_when_routed(name, input_data=row)
    log = road.services.prediction_log
    log.close()
    await predictions.measure(road.services)
    assert (_value("prediction_log_pending_segments") or 0) >= 1
    log.move()
    await predictions.measure(road.services)
    assert _value("prediction_log_lag_seconds") == 0
    await monitoring.watch_inputs(road.services)
    assert (_value("drift_rows_compared", model_name=name) or 0) >= 120
    assert _value("drift_baseline_rows", model_name=name) == 40
    assert (_value("model_input_drift_psi", model_name=name, feature="age") or 0) > 0.2
    assert (_value("model_input_drift_psi", model_name=name, feature="income") or 1) < 0.2
    assert (_value("model_input_out_of_range_share", model_name=name, feature="visits") or 0) > 0.9
    assert (_value("data_quality_score", dataset=f"inputs:{name}") or 1) < 0.7
    assert 0.5 < (_value("prediction_mean", model_name=name) or 0) <= 1, "high ages are likelier"


async def test_parts_that_answer_and_parts_that_do_not(road: Road) -> None:
    await monitoring.probe(road.services)
    assert _value("platform_up", component="database") == 1
    assert _value("platform_up", component="mlflow") == 1
    assert _value("platform_up", component="feast") == 0, "there is no project in this home"


async def test_a_failed_pass_of_a_pipeline_is_counted_as_one(road: Road) -> None:
    async def fails(_services: object) -> None:
        raise RuntimeError("for this test")

    before = _value("data_pipeline_failures_total", pipeline="test-pipeline") or 0
    assert await run_job(Job("test-pipeline", 1, fails, exclusive=False, pipeline=True), road.services) == "failed"
    assert _value("data_pipeline_failures_total", pipeline="test-pipeline") == before + 1
    assert await run_job(Job("test-other", 1, fails, exclusive=False), road.services) == "failed"
    assert _value("data_pipeline_failures_total", pipeline="test-other") is None
