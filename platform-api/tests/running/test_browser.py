"""A manager approves in a browser with JavaScript switched off."""

import re
import shutil
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright
from sklearn.base import clone

from ..support.receivers import listening, mail_server, text_of
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
    deployment = _asked(platform, "browsed", model, rows, rows["visits"] > 0)
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


def _asked(platform: Platform, name: str, model: Any, rows: pd.DataFrame, labels: Any) -> str:
    """Register a version with bytes of its own (a level that is raised here is theirs everywhere), and ask for staging."""
    mlflow.set_tracking_uri(f"http://127.0.0.1:{platform.mlflow_port}")
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            clone(model).fit(rows, labels),
            name="model",
            input_example=rows.head(40),
            pip_requirements=["scikit-learn"],
        )
    mlflow.register_model(logged.model_uri, name, tags={"risk_level": "medium", "owner": "ana@company.com"})
    return platform.deploy(name)


def test_a_person_without_a_terminal_follows_a_mail_decides_and_the_requester_is_answered(
    platform: Platform, model: Any, rows: pd.DataFrame, tmp_path: Path
) -> None:
    with mail_server() as mailbox, listening() as slack, sync_playwright() as playwright:
        hook = {"name": "team", "kind": "slack", "url": slack.url, "kinds": ["approval-settled"]}
        mail = {"host": "127.0.0.1", "port": mailbox.port, "security": "none", "sender": "mlops@company.com"}
        platform.channels.write_text(
            yaml.safe_dump({"email": {**mail, "domains": ["company.com"]}, "channels": [hook]})
        )
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        # the platform can tell whom it has seen
        for person in ("Max", "Sam"):
            _signed_in(browser.new_page(), f"{platform.url}/console", person)
        _asked(platform, "mailed", model, rows, rows["age"] > 0)
        for person, address in (("Max", "max@company.com"), ("Sam", "sam@company.com")):
            asked = eventually(lambda address=address: _about("mailed", mailbox.to(address)))
            link = re.search(r"http://\S+/console/approvals/\S+", asked)
            assert link is not None
            page = browser.new_context().new_page()
            _signed_in(page, link.group(0), person)
            assert page.url == link.group(0), "the page of the mail, after signing in"
            page.get_by_label("Comment").fill(f"read by {person}")
            page.get_by_role("button", name="Approve this exact version").click()
            page.get_by_text(f"read by {person}").wait_for()
        page.screenshot(path=str(tmp_path / "decided.png"), full_page=True)
        answer = eventually(lambda: _about("Your request to bring mailed", mailbox.to("ana@company.com")))
        assert "was approved" in answer
        told = eventually(lambda: [body for body in slack.bodies() if "mailed" in body["text"]])
        assert "was approved" in told[0]["blocks"][0]["text"]["text"]
        browser.close()
    platform.channels.write_text("channels: []\n")


def _signed_in(page: Page, address: str, person: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="Sign in as a demonstration person").click()
    page.get_by_role("button", name=person).click()
    page.get_by_role("button", name="Sign out").wait_for()


def _about(words: str, mails: list[Message]) -> str:
    return next((text for text in map(text_of, mails) if words in text), "")


_WIDTHS = (1280, 390)


@pytest.mark.whole("half a minute of looking at pages; the pages' own tests are in tests/console")
def test_pages_of_signing_in_and_being_told_are_accessible_and_fit_a_phone(platform: Platform) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        for width in _WIDTHS:
            page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
            page.set_content("<img src='x'>")
            assert Axe().run(page).response["violations"], "axe sees a picture without a text"
            for path in ("/console/sign-in?next=/console/approvals&kept=x", "/console/signed-out", "/issuer/device"):
                page.goto(f"{platform.url}{path}")
                _accessible(page)
            page.goto(f"{platform.url}/console/notifications")
            page.get_by_role("link", name="Sign in as a demonstration person").click()
            _accessible(page)
            page.get_by_role("button", name="Max").click()
            page.get_by_role("heading", name="Notifications").wait_for()
            _accessible(page)
            for path in ("/console", "/console/approvals", "/console/deployments", "/console/models/nothing"):
                page.goto(f"{platform.url}{path}")
                _accessible(page)
            page.goto(f"{platform.url}/console/approvals")
            if page.get_by_role("link", name="mailed 1").count():
                page.get_by_role("link", name="mailed 1").first.click()
                _accessible(page)
            device = httpx.post(f"{platform.url}/issuer/device_authorization", data={"client_id": "mlops-cli"}).json()
            page.goto(f"{platform.url}/issuer/device")
            page.get_by_label("Code that").fill(device["user_code"])
            page.get_by_role("button", name="Continue").click()
            _accessible(page)
            page.get_by_role("button", name="refuse").click()
            _accessible(page)
        browser.close()


_WIDER = """[...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > window.innerWidth)
    .map(one => one.outerHTML.slice(0, 150))"""


def _accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    seen = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
    assert seen == [], page.url
    wide = page.evaluate(_WIDER) if page.evaluate("document.documentElement.scrollWidth > window.innerWidth") else []
    assert wide == [], f"{page.url} is wider than the screen"
