"""The risk of exactly these bytes on a version's page: proposed by one person, confirmed by another."""

import re
from collections.abc import Callable

import httpx

from tests.support.ground import Ground

from .test_console import sign_in


async def _page(client: httpx.AsyncClient, name: str) -> str:
    answer = await client.get(f"/console/models/{name}/versions/1")
    assert answer.status_code == 200, answer.text
    return answer.text


def _hidden(page: str, field: str) -> str:
    (value,) = set(re.findall(rf'name="{field}" value="([^"]+)"', page))
    return str(value)


async def test_one_proposes_and_another_confirms(ground: Ground, token_for: Callable[..., str]) -> None:
    await ground.deployed(1, "high")
    client, name = ground.client, ground.names[0]
    await sign_in(client, token_for("eve@company.com", "manager"))
    page = await _page(client, name)
    digest = re.findall(r"/console/risk/(sha256:[0-9a-f]{64})/proposals", page)[0]
    form = {"form_token": _hidden(page, "form_token"), "back": _hidden(page, "back")}
    sent = await client.post(
        f"/console/risk/{digest}/proposals", data={**form, "level": "low", "reason": "reads <b>public</b> data"}
    )
    assert (sent.status_code, sent.headers["location"]) == (303, f"/console/models/{name}/versions/1#risk")
    page = await _page(client, name)
    assert "reads &lt;b&gt;public&lt;/b&gt; data" in page
    assert "/decisions" not in page, "nobody is offered to confirm their own proposal"
    forged = await client.post(f"/console/risk/{digest}/proposals", data={"level": "low", "reason": "x", "back": "x:1"})
    assert forged.status_code == 403

    await sign_in(client, token_for("max@company.com", "manager"))
    page = await _page(client, name)
    form = {field: _hidden(page, field) for field in ("form_token", "back", "proposal")}
    sent = await client.post(f"/console/risk/{digest}/decisions", data={**form, "decision": "confirm"})
    assert sent.status_code == 303, sent.text
    assert (await ground.ask("GET", f"/risk/records/{digest}"))["level"] == "low"

    await sign_in(client, token_for("viewer@company.com", "viewer"))
    page = await _page(client, name)
    assert "Risk of these bytes" in page
    assert "/console/risk/" not in page
