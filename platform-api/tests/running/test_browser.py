"""A manager approves in a browser with JavaScript switched off."""

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright
from sklearn.base import clone

from ..support.waiting import eventually
from .platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.external("chromium"), pytest.mark.timeout(720)]
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def test_a_person_signs_in_reads_and_approves_without_javascript(
    platform: Platform, model: Any, rows: pd.DataFrame, tmp_path: Path
) -> None:
    mlflow.set_tracking_uri(f"http://127.0.0.1:{platform.mlflow_port}")
    # bytes of its own: a level that is raised here is the level of the same bytes everywhere
    own = clone(model).fit(rows, rows["visits"] > 0)
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            own, name="model", input_example=rows.head(40), pip_requirements=["scikit-learn"]
        )
    mlflow.register_model(logged.model_uri, "browsed", tags={"risk_level": "medium", "owner": "ana@company.com"})
    deployment = platform.deploy("browsed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        page = browser.new_context(java_script_enabled=False).new_page()
        # without a session: the way to sign in, and back to the page that was asked for
        page.goto(f"{platform.url}/console/approvals")
        page.get_by_role("link", name="Sign in as a demonstration person").click()
        page.get_by_role("button", name="Max").click()
        assert page.get_by_role("heading", name="Waiting for you").is_visible()
        page.get_by_role("link", name="browsed 1").first.click()
        page.screenshot(path=str(tmp_path / "approval.png"), full_page=True)
        page.get_by_label("Comment").fill("read and agreed")
        page.get_by_role("button", name="Approve this exact version").click()
        assert page.get_by_text("read and agreed").is_visible()
        page.get_by_role("link", name="Deployments").click()
        assert page.get_by_role("link", name="browsed").is_visible()
        page.get_by_role("button", name="Sign out").click()
        # by way of the provider's own sign-out
        page.wait_for_url("**/console/signed-out")
        assert page.get_by_role("heading", name="You are signed out").is_visible()
        page.goto(f"{platform.url}/console/approvals")
        assert page.get_by_role("heading", name="Sign in").is_visible()
        browser.close()
    shown = platform.ask("GET", "/api/v1/approvals?model_name=browsed", "max@company.com", "manager").json()["items"][0]
    assert [decision["person"] for decision in shown["decisions"]] == ["max@company.com"]
    assert shown["missing"] == ["senior-data-scientist"]
    path = f"/api/v1/approvals/{shown['id']}/decisions"
    assert platform.ask(
        "POST", path, "sam@company.com", "senior-data-scientist", json={"decision": "approve"}
    ).is_success
    eventually(lambda: platform.predict("browsed").is_success)
    detail = platform.ask("GET", f"/api/v1/deployments/{deployment}", "max@company.com", "manager").json()
    assert detail["state"] in {"live", "rolling_out"}
