"""The deployment pipeline from end to end against a platform started by `mlops up`, by the workflow file's own commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..flows.conftest import hostile_bytes
from ..running.platform import Platform
from ..support.waiting import eventually
from .conftest import People
from .workflow import run

pytestmark = [
    pytest.mark.whole("walks the pipeline for minutes"),
    pytest.mark.timeout(900),
]

Register = Callable[..., str]
Environment = dict[str, str]
Meet = Callable[[str], People]
BEFORE = ("validate", "security_scan", "performance_test", "approval", "build", "deploy", "post_deployment")


def _inputs(name: str, to: str = "staging", risk: str = "low", version: str = "1") -> dict[str, str]:
    return {"model_name": name, "model_version": version, "target_environment": to, "risk_level": risk}


def _deployments(platform: Platform, name: str) -> list[dict[str, Any]]:
    answer = platform.ask("GET", f"/api/v1/deployments?model_name={name}", "v@company.com", "viewer")
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def _events(platform: Platform, name: str, action: str) -> list[dict[str, Any]]:
    path = f"/api/v1/audit/events?action={action}&resource=model:{name}:1"
    found: list[dict[str, Any]] = platform.ask("GET", path, "aud@company.com", "auditor").json()["items"]
    return found


def _only_failed(results: dict[str, str], job: str) -> None:
    """One job failed, those after it were skipped, and the two that always run did."""
    assert results[job] == "failure"
    place = BEFORE.index(job)
    assert {results[one] for one in BEFORE[place + 1 :]} <= {"skipped", "success"}
    assert results["approval" if place < 3 else BEFORE[-1]] in {"skipped", "failure"}
    assert (results["audit"], results["notify"]) == ("success", "success")


def test_a_version_goes_to_staging_and_on_to_production(
    platform: Platform, register: Register, pipeline_environment: Environment, people: Meet
) -> None:
    name = register()
    staged = run(_inputs(name), pipeline_environment)
    assert set(staged.results.values()) == {"success"}, staged.output
    assert "the model server on the built bundle" in json.dumps(_gate(platform, name, "performance"))

    people(name).will("approve")
    released = run(_inputs(name, "production"), pipeline_environment)
    assert set(released.results.values()) == {"success"}, released.output
    # what answers in staging was asked as callers ask it; what opens production is still the platform's own measurement
    assert "over 100 requests" in released.output["performance_test"]
    assert _gate(platform, name, "performance")["detail"]["measured"] == "the model server on the built bundle"
    assert _gate(platform, name, "smoke")["status"] == "passed"
    assert _states(platform, name) == {"staging": "live", "production": "rolling_out"}

    def live_by_people() -> bool:
        answer = platform.predict(name, environment="production").json()
        assert answer["environment"] == "production"
        return _states(platform, name)["production"] == "live"

    eventually(live_by_people)
    runs = _events(platform, name, "pipeline:run:recorded")
    assert [one["details"]["status"] for one in runs] == ["success", "success"]
    assert runs[0]["details"]["asked_by"] == "ana"
    assert f"{name} version 1 to production: success" in released.output["notify"]
    verified = platform.ask("GET", "/api/v1/audit/verify", "aud@company.com", "auditor").json()
    assert verified["intact"], verified


def _states(platform: Platform, name: str) -> dict[str, str]:
    return {one["environment"]: one["state"] for one in _deployments(platform, name)}


def _gate(platform: Platform, name: str, gate: str) -> dict[str, Any]:
    path = f"/api/v1/models/{name}/versions/1/gates/{gate}"
    found: dict[str, Any] = platform.ask("GET", path, "v@company.com", "viewer").json()["result"]
    return found


def test_a_version_without_an_example_stops_at_validate(
    platform: Platform, register: Register, pipeline_environment: Environment
) -> None:
    name = register(examples=0)
    ended = run(_inputs(name), pipeline_environment)
    _only_failed(ended.results, "validate")
    assert "log it with input_example=" in ended.output["validate"]
    assert "failure at validate" in ended.output["notify"]
    assert _deployments(platform, name) == []
    [event] = _events(platform, name, "pipeline:run:recorded")
    assert event["details"]["status"] == "failure"


def test_a_version_nobody_registered_stops_at_validate(platform: Platform, pipeline_environment: Environment) -> None:
    ended = run(_inputs("no-such-model"), pipeline_environment)
    assert ended.results["validate"] == "failure"
    assert "There is no version '1' of a model named 'no-such-model'" in ended.output["validate"]
    assert ended.results["approval"] == "skipped"


def test_files_changed_after_validation_stop_at_the_scan(
    platform: Platform, register: Register, pipeline_environment: Environment, tmp_path: Path
) -> None:
    name = register()
    marker = tmp_path / "owned"

    def tamper() -> None:
        _artifacts(platform).joinpath("extra.pkl").write_bytes(hostile_bytes(str(marker)))

    ended = run(_inputs(name), pipeline_environment, before={"security_scan": tamper})
    _only_failed(ended.results, "security_scan")
    assert "The artifacts changed" in ended.output["security_scan"]
    assert not marker.exists()
    assert _deployments(platform, name) == []


def _artifacts(platform: Platform) -> Path:
    """The folder of the model that was logged last."""
    return max((platform.home / "artifacts").rglob("MLmodel"), key=lambda path: path.stat().st_mtime).parent


def test_a_version_slower_than_its_own_limit_stops_at_performance(
    platform: Platform, register: Register, pipeline_environment: Environment
) -> None:
    name = register(slo_p95_ms="0.01")
    ended = run(_inputs(name), pipeline_environment)
    _only_failed(ended.results, "performance_test")
    assert "the limit is 0.01 ms" in ended.output["performance_test"]
    assert _deployments(platform, name) == []


def test_a_rejected_request_stops_at_approval(
    platform: Platform, register: Register, pipeline_environment: Environment, people: Meet
) -> None:
    name = register()
    assert set(run(_inputs(name), pipeline_environment).results.values()) == {"success"}
    people(name).will("reject")
    ended = run(_inputs(name, "production"), pipeline_environment)
    _only_failed(ended.results, "approval")
    assert "the request is rejected: not on a Friday" in ended.output["approval"]
    assert [one["traffic"] for one in _deployments(platform, name) if one["environment"] == "production"] == [0.0]


def test_a_bundle_changed_after_signing_stops_before_it_starts(
    platform: Platform, register: Register, pipeline_environment: Environment, people: Meet
) -> None:
    name = register()
    assert set(run(_inputs(name), pipeline_environment).results.values()) == {"success"}

    def built() -> bool:
        [one] = [one for one in _deployments(platform, name) if one["environment"] == "production"]
        shown = platform.ask("GET", f"/api/v1/deployments/{one['id']}", "v@company.com", "viewer").json()
        return bool(shown["revisions"][0]["build"] == "built")

    def tamper() -> None:
        # earlier, the worker would see it and build anew from the registry
        eventually(built)
        [bundle] = (platform.home / "bundles").glob(f"[!.]*-{name}-1")
        (bundle / "bundle.json").write_text((bundle / "bundle.json").read_text() + " ")

    people(name).will("approve", tamper)
    ended = run(_inputs(name, "production"), pipeline_environment)
    # the worker refuses it within a second, which the build job sees already
    _only_failed(ended.results, "build")
    assert "The bundle's files are not those this platform signed" in ended.output["build"]
    assert [one["traffic"] for one in _deployments(platform, name) if one["environment"] == "production"] == [0.0]


def test_a_version_of_another_risk_than_the_run_says_stops_at_approval(
    platform: Platform, register: Register, pipeline_environment: Environment
) -> None:
    name = register()
    ended = run(_inputs(name, risk="high"), pipeline_environment)
    _only_failed(ended.results, "approval")
    assert "is of low risk, not high" in ended.output["approval"]
    assert _deployments(platform, name) == []


def test_a_wrong_answer_after_deployment_takes_it_back(
    platform: Platform, register: Register, pipeline_environment: Environment
) -> None:
    name = register()
    ended = run(
        _inputs(name), pipeline_environment, append={"post_deployment": """--input '[{"age": "old", "height": 1}]'"""}
    )
    _only_failed(ended.results, "post_deployment")
    assert "it was undeployed: there is no earlier revision" in ended.output["post_deployment"]
    eventually(lambda: platform.predict(name).status_code == 404)
    assert _gate(platform, name, "smoke")["status"] == "failed"
