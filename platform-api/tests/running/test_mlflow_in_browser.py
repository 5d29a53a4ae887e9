"""A person who is signed in to the console uses MLflow's own page; a page of another origin gets nothing for it."""

import shutil
from pathlib import Path

import mlflow
import pytest
from playwright.sync_api import Page, sync_playwright

from .platform import Platform
from .test_browser import _FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.external("chromium"), pytest.mark.timeout(720)]


def test_a_signed_in_person_sees_runs_and_models_in_mlflows_page(platform: Platform, tmp_path: Path) -> None:
    door = f"http://127.0.0.1:{platform.mlflow_port}"
    mlflow.set_tracking_uri(door)
    with mlflow.start_run(run_name="seen-in-the-browser"):
        mlflow.log_metric("accuracy", 0.9)
    mlflow.MlflowClient().create_registered_model("seen-in-the-browser")
    refused: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        page = browser.new_context().new_page()
        page.on("response", lambda answer: refused.append(answer.url) if answer.status in {401, 403} else None)
        page.goto(door)
        # without a session: the console's sign-in page
        page.get_by_role("link", name="Sign in as a demonstration person").click()
        page.get_by_role("button", name="Ana").click()
        page.goto(f"{door}/#/experiments/0/runs")
        page.get_by_text("seen-in-the-browser").first.wait_for(timeout=60_000)
        page.goto(f"{door}/#/models")
        page.get_by_text("seen-in-the-browser").first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "models.png"))
        assert refused == []
        # the console's origin is another port of this host: its cookie is sent along, and is not enough
        page.goto(f"{platform.url}/health")
        assert _written_from_here(page, door) in {"refused", 403}
        browser.close()
    names = [model.name for model in mlflow.MlflowClient().search_registered_models()]
    assert "planted" not in names


def _written_from_here(page: Page, door: str) -> object:
    script = """door => fetch(`${door}/api/2.0/mlflow/registered-models/create`,
        {method: "POST", credentials: "include", mode: "no-cors", body: JSON.stringify({name: "planted"})})
        .then(answer => answer.type === "opaque" ? "refused" : answer.status, () => "refused")"""
    return page.evaluate(script, door)
