"""/api/docs is read where no other host is reachable, and what it offers can be tried with a token."""

import re
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Request, Route, sync_playwright

from mlops_platform.api_docs import WITHOUT_TOKEN
from mlops_platform.app import create_control_plane
from mlops_platform.bootstrap import BuiltServices

from ..conftest import free_port

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture
def app(services: BuiltServices) -> FastAPI:
    return create_control_plane(services)


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The control plane on a port, for a browser."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


async def test_the_page_refers_to_own_paths_only_and_each_answers(client: httpx.AsyncClient) -> None:
    page = await client.get("/api/docs")
    assert page.status_code == 200
    named = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(named) >= 3
    for path in named:
        assert re.fullmatch(r"/api/docs/[a-z0-9.-]+", path), path
        answer = await client.get(path)
        assert (answer.status_code, len(answer.content) > 100) == (200, True), path
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "//" not in (await client.get("/api/docs/start.js")).text


async def test_nothing_but_our_own_script_may_run_there(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/api/docs")).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["script-src"], rules["connect-src"]) == ("'none'", "'self'", "'self'")
    assert rules["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("name", ["__init__.py", "..%2Fmain.py", "oauth2-redirect.html", "%2e%2e/main.py"])
async def test_only_the_files_of_the_page_are_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/api/docs/{name}")).status_code == 404


async def test_there_is_no_second_page_that_needs_another_host(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/redoc")).status_code == 404


async def test_every_operation_but_the_public_ones_asks_for_a_bearer_token(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _any(str)}
    }
    open_to_all = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if not operation["security"]:
                open_to_all.add(path)
            else:
                assert operation["security"] == [{"bearer": []}]
    assert open_to_all == WITHOUT_TOKEN & set(document["paths"])
    assert {"/health", "/ready", "/v2/health/live"} <= open_to_all
    assert "/api/v1/predict" not in open_to_all


async def test_what_the_document_calls_public_answers_without_a_token(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    public = [
        path for path, operations in document["paths"].items() if not operations.get("get", {}).get("security", [1])
    ]
    assert len(public) > 3
    for path in public:
        assert (await client.get(path)).status_code not in {401, 403}, path


def _any(kind: type) -> Any:
    class Anything:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, kind)

        __hash__ = None  # type: ignore[assignment]

    return Anything()


@pytest.mark.external("chromium")
def test_a_browser_shows_the_operations_without_any_other_host(address: str) -> None:
    asked_elsewhere: list[str] = []
    problems: list[str] = []

    def only_ours(route: Route, request: Request) -> None:
        if request.url.startswith((address, "data:")):
            route.continue_()
        else:
            asked_elsewhere.append(request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        page = browser.new_page()
        page.route("**/*", only_ours)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{address}/api/docs")
        page.get_by_text("/api/v1/models/deploy", exact=True).first.wait_for()
        page.get_by_role("button", name="Authorize").first.click()
        page.get_by_label("auth-bearer-value").fill("a-token")
        page.get_by_label("Apply credentials").click()
        page.get_by_role("button", name="Close", exact=True).click()
        page.locator("#operations-identity-whoami").click()
        page.get_by_role("button", name="Try it out").click()
        with page.expect_request("**/api/v1/me") as tried:
            page.get_by_role("button", name="Execute").click()
        assert tried.value.headers["authorization"] == "Bearer a-token"
        # the request's own refusal is expected; scripts, styles and images that were blocked are not
        assert [text for text in problems if "401" not in text] == []
        browser.close()
    assert asked_elsewhere == []
