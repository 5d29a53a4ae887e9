"""Code that the policy allows at one risk level is asked about again when the level rises: nothing starts that it refuses."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import text

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.models.classified import MIRROR, Catalogue
from mlops_platform.policy.definition import RiskLevel
from mlops_platform.risk import service as risk

from ..conftest import client_for
from ..support.bundles import halves
from ..support.ground import Ground
from ..support.parts import quick

Headers = Callable[..., dict[str, str]]


@pytest.fixture
async def bringing_code(services: BuiltServices, as_: Headers) -> AsyncIterator[Ground]:
    """A ground whose models bring code of their own."""
    prepared = halves(services.settings.home / "prepared")
    described = json.loads((prepared / "bundle.json").read_text())
    (prepared / "bundle.json").write_text(json.dumps({**described, "code": "declared"}))
    report = json.loads((prepared / "report.json").read_text())
    said = {"name": "code", "status": "warning", "detail": "it brings code/own.py"}
    report["steps"].append({**said, "code": "declared", "sources": {"code/own.py": "sha256:1"}})
    (prepared / "report.json").write_text(json.dumps(report))
    await services.signer.sign(prepared)
    parts = quick(services)
    async with client_for(parts) as client:
        yield Ground(parts, client, as_("ana@company.com", "data-scientist", "ml-engineer"), as_)


async def _raise(ground: Ground, digest: str, level: RiskLevel = "high") -> None:
    async with ground.services.database.session() as session:
        said: Any = {"level": level, "source": "questionnaire", "reason": "asked again", "tenant": "default"}
        await risk.classify(session, Catalogue(), digest=digest, actor=MIRROR, **said)


async def _newest(ground: Ground, name: str) -> dict[str, Any]:
    shown = (await ground.ask("GET", "/deployments"))["items"]
    (wanted,) = (one["id"] for one in shown if one["model_name"] == name)
    newest: dict[str, Any] = (await ground.ask("GET", f"/deployments/{wanted}"))["revisions"][0]
    return newest


@pytest.mark.parametrize("when", ["before the build ends", "between build and start"])
async def test_code_of_a_version_whose_risk_rises_does_not_start(bringing_code: Ground, when: str) -> None:
    ground = bringing_code
    await ground.deployed(1, risk="low")
    (name,) = ground.names
    digest = (await _newest(ground, name))["digest"]
    if when == "before the build ends":
        await _raise(ground, digest)
        await ground.run("deployment-builds")
    else:
        await ground.run("deployment-builds")
        await _raise(ground, digest)
        await ground.run("deployment-reconcile")
    newest = await _newest(ground, name)
    assert newest["state"] == "failed"
    assert "no model of high risk in staging that brings code of its own" in newest["reason"]
    assert await ground.services.runtime.known() == set()


async def test_a_level_that_still_allows_the_code_starts_it(bringing_code: Ground) -> None:
    ground = bringing_code
    await ground.deployed(1, risk="low")
    await ground.run("deployment-builds")
    await ground.reconciled({ground.names[0]: "live"})


async def test_what_runs_is_due_for_review_and_told_that_its_code_may_not_come_back(bringing_code: Ground) -> None:
    ground = bringing_code
    await ground.answering(1)
    (name,) = ground.names
    await _raise(ground, (await _newest(ground, name))["digest"])
    await ground.run("approval-reviews")
    async with ground.services.database.read_session() as session:
        reason = await session.scalar(text("SELECT review_reason FROM revisions WHERE review_since IS NOT NULL"))
    assert "risk level rose from low to high" in reason
    assert "brings code of its own" in reason
    again = {"model_name": name, "model_version": "1", "target_stage": "staging", "justification": "again"}
    answer = await ground.client.post("/api/v1/models/deploy", json=again, headers=ground.headers)
    assert answer.status_code == 409, answer.text


async def test_approvers_see_the_code_and_later_the_statement(
    bringing_code: Ground, as_: Headers, token_for: Callable[..., str]
) -> None:
    ground = bringing_code
    (asked,) = (await ground.deployed(1, risk="medium")).values()
    approval, max_ = asked["approval_id"], as_("max@company.com", "manager")
    await ground.run("deployment-builds")
    shown = (await ground.client.get(f"/api/v1/approvals/{approval}", headers=max_)).json()
    assert shown["declared_code"]["sources"] == {"code/own.py": "sha256:1"}
    assert shown["statement"] is None
    await _signed_in(ground, token_for)
    page = (await ground.client.get(f"/console/approvals/{approval}")).text
    assert "Code of its own" in page
    assert "code/own.py" in page
    ground.client.cookies.clear()
    for person, role in (("max@company.com", "manager"), ("eva@company.com", "senior-data-scientist")):
        body = {"decision": "approve", "comment": "read"}
        await ground.client.post(f"/api/v1/approvals/{approval}/decisions", json=body, headers=as_(person, role))
    await ground.reconciled({ground.names[0]: "live"})
    shown = (await ground.client.get(f"/api/v1/approvals/{approval}", headers=max_)).json()
    assert shown["status"] == "approved", shown
    assert str(shown["statement"]).startswith("sha256:")
    await _signed_in(ground, token_for)
    assert shown["statement"] in (await ground.client.get(f"/console/approvals/{approval}")).text


async def test_a_version_without_code_says_none(ground: Ground, as_: Headers) -> None:
    (asked,) = (await ground.deployed(1, risk="medium")).values()
    await ground.run("deployment-builds")
    answer = await ground.client.get(
        f"/api/v1/approvals/{asked['approval_id']}", headers=as_("m@company.com", "manager")
    )
    assert answer.json()["declared_code"] is None


async def _signed_in(ground: Ground, token_for: Callable[..., str]) -> None:
    answer = await ground.client.post("/console/sign-in", data={"token": token_for("max@company.com", "manager")})
    assert answer.status_code == 303
