"""The pages of accounts and access as a browser shows them: without barriers, and on a narrow screen."""

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
from anyio import to_thread
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.rendering import FOLDER
from mlops_platform.identity.elevations import Elevations
from mlops_platform.identity.principal import Role

from ..support.browsing import browser_for, hidden, sign_in_as

pytestmark = [pytest.mark.slow, pytest.mark.external("chromium")]
_LINK = '<link rel="stylesheet" href="/console/static/console.css">'


async def test_accounts_and_access_have_no_barriers_and_fit_a_narrow_screen(
    services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> None:
    parts = replace(services, elevations=Elevations(services.database, {Role.AUDITOR: [Role.MANAGER, Role.ARCHITECT]}))
    async with browser_for(parts) as client:
        await client.get("/api/v1/me", headers=as_(f"{'a' * 60}@company.com", "data-scientist", "ml-engineer"))
        await sign_in_as(client, "aud")
        form = hidden((await client.get("/console/account")).text)
        asked = {"form_token": form["form_token"], "role": "manager", "minutes": "60", "reason": "x" * 200}
        assert (await client.post("/console/account/elevations", data=asked)).status_code == 303
        style = f"<style>{(FOLDER / 'static' / 'console.css').read_text()}</style>"
        shown = {
            path: (await client.get(path)).text.replace(_LINK, style)
            for path in ("/console/account", "/console/access")
        }
    for path, (width, violations) in (await to_thread.run_sync(_looked_at, shown)).items():
        assert width <= 390, f"{path} is {width} wide"
        assert violations == [], path


def _looked_at(pages: dict[str, str]) -> dict[str, tuple[int, list[str]]]:
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        for path, content in pages.items():
            page.set_content(content)
            width = page.evaluate("document.documentElement.scrollWidth")
            found[path] = (width, [one["id"] for one in Axe().run(page).response["violations"]])
        browser.close()
    return found
