"""What a person must not stumble over: why a form is absent, errors as pages, a way past the menu, a focus that can be seen."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.rendering import FOLDER
from tests.conftest import client_for
from tests.support.bundles import halves
from tests.support.ground import Ground
from tests.support.parts import quick

Token = Callable[..., str]


@dataclass
class Waiting:
    client: httpx.AsyncClient
    approval: str
    token: Token

    async def page(self, subject: str, *roles: str) -> str:
        self.client.cookies.clear()
        signed_in = await self.client.post("/console/sign-in", data={"token": self.token(subject, *roles)})
        assert signed_in.status_code == 303
        answer = await self.client.get(f"/console/approvals/{self.approval}")
        assert answer.status_code == 200
        return answer.text


@pytest.fixture
async def waiting(
    services: BuiltServices, as_: Callable[..., dict[str, str]], token_for: Token
) -> AsyncIterator[Waiting]:
    """A request that waits for a manager and a senior data scientist."""
    parts = quick(services)
    await parts.signer.sign(halves(parts.settings.home / "prepared"))
    async with client_for(parts) as client:
        at = Ground(parts, client, as_("ana@company.com", "data-scientist", "manager"), as_)
        await at.registered(1, "medium")
        asked = {"model_name": at.names[0], "model_version": "1", "target_stage": "staging", "justification": "x"}
        held = await at.ask("POST", "/models/deploy", asked)
        yield Waiting(client, held["approval_id"], token_for)


@pytest.mark.parametrize(
    ("subject", "roles", "sentence"),
    [
        ("ana@company.com", ["data-scientist", "manager"], "You cannot decide: you asked for this"),
        ("vic@company.com", ["viewer"], "none of your roles decides in the team default"),
        ("tom@company.com", ["team-lead"], "your roles are team-lead"),
    ],
)
async def test_who_cannot_decide_reads_why(waiting: Waiting, subject: str, roles: list[str], sentence: str) -> None:
    page = await waiting.page(subject, *roles)
    assert sentence in page
    assert 'value="approve"' not in page


async def test_who_can_decide_reads_no_excuse_and_afterwards_that_it_is_done(waiting: Waiting) -> None:
    page = await waiting.page("max@company.com", "manager")
    assert 'value="approve"' in page
    assert "You cannot decide" not in page
    form = dict(re.findall(r'name="(form_token)" value="([^"]+)"', page))
    sent = await waiting.client.post(f"/console/approvals/{waiting.approval}", data={**form, "decision": "approve"})
    assert sent.status_code == 303
    page = await waiting.page("max@company.com", "manager")
    assert "You have decided already; still needed: senior-data-scientist." in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/nowhere", 404),
        ("/console/models/nobody", 404),
        (f"/console?search={'x' * 300}", 422),
        ("/console/approvals?cursor=broken", 422),
        ("/console/audit", 403),
    ],
)
async def test_errors_of_the_console_are_pages(
    client: httpx.AsyncClient, token_for: Token, path: str, status: int
) -> None:
    await client.post("/console/sign-in", data={"token": token_for("vic@company.com", "viewer")})
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


async def test_the_first_link_leads_past_the_menu(client: httpx.AsyncClient, token_for: Token) -> None:
    await client.post("/console/sign-in", data={"token": token_for("vic@company.com", "viewer")})
    page = (await client.get("/console")).text
    assert re.findall(r'<a [^>]*href="([^"]+)"', page)[0] == "#main"
    assert 'id="main" tabindex="-1"' in page


def test_the_focus_can_be_seen_on_every_ground() -> None:
    style = (Path(FOLDER) / "static" / "console.css").read_text()
    ring = re.search(r":focus-visible { outline: 3px solid (#\w{6})", style)
    assert ring is not None
    # WCAG 2.2, 1.4.11: three to one
    grounds = re.findall(r"--(?:paper|soft): (#\w{3,6})", style)
    assert len(grounds) == 2
    assert min(_contrast(ring.group(1), ground) for ground in grounds) >= 3


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
