"""A person's browser without a window: follows what the console and a provider answer, and keeps cookies."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx

from mlops_platform.app import compose
from mlops_platform.bootstrap import BuiltServices


@asynccontextmanager
async def browser_for(services: BuiltServices) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on the whole application, at its own address."""
    application = compose(services)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=services.settings.url) as client:
            yield client
    finally:
        await application.stop()


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's first form that has some."""
    form = next(part for part in re.findall(r"<form.*?</form>", page, re.DOTALL) if "hidden" in part)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in fields}


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


async def ask_to_sign_in(client: httpx.AsyncClient, page: str = "/console") -> str:
    """Leave for the provider; return the address the browser was sent to."""
    answer = await client.get("/console/sign-in/begin", params={"next": page})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def choose(client: httpx.AsyncClient, address: str, who: str, **more: str) -> str:
    """Choose a demonstration person at the embedded issuer; return the address it sends the browser back to."""
    page = await client.get(address)
    assert page.status_code == 200, page.text
    answer = await client.post("/issuer/authorize", data={**hidden(page.text), "who": who, **more})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def sign_in_as(client: httpx.AsyncClient, who: str, page: str = "/console", **more: str) -> httpx.Response:
    """Sign in by browser as a demonstration person; return the console's answer to the callback."""
    return await client.get(await choose(client, await ask_to_sign_in(client, page), who, **more))
