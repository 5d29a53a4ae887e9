"""The console shows what the API shows, to the same people, and takes forms only from its own pages."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
import pytest

from mlops_platform.adapters.aws.audit_mirror import AwsAuditMirror
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.database.session import Database
from tests.conftest import client_for
from tests.support.verifying import InProcess


async def sign_in(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/console/sign-in", data={"token": token})
    assert answer.status_code == 303, answer.text


async def test_nobody_is_sent_to_sign_in(client: httpx.AsyncClient) -> None:
    for path in ("/console", "/console/approvals", "/console/deployments", "/console/audit", "/console/models/x"):
        answer = await client.get(path)
        back = "" if path == "/console" else f"?{urlencode({'next': path})}"
        assert (answer.status_code, answer.headers["location"]) == (303, f"/console/sign-in{back}")


async def test_a_wrong_token_does_not_sign_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/console/sign-in", data={"token": "nonsense"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    client: httpx.AsyncClient, token_for: Callable[..., str]
) -> None:
    answer = await client.post("/console/sign-in", data={"token": token_for("ana@company.com", "viewer")})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


@pytest.mark.parametrize("path", ["/console", "/console/approvals", "/console/deployments"])
async def test_pages_render_for_a_viewer_without_any_script(
    client: httpx.AsyncClient, token_for: Callable[..., str], path: str
) -> None:
    await sign_in(client, token_for("ana@company.com", "viewer"))
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_only_auditors_see_the_log_and_can_verify_it(
    client: httpx.AsyncClient, token_for: Callable[..., str], database: Database
) -> None:
    async with database.session() as session:
        await audit.record(
            session,
            action=Action.MODEL_DELETED,
            actor=SystemActor("worker"),
            resource="model:<b>x</b>",
            tenant="default",
            details={},
        )
    await sign_in(client, token_for("ana@company.com", "viewer"))
    assert (await client.get("/console/audit")).status_code == 403
    await sign_in(client, token_for("aud@company.com", "auditor"))
    shown = (await client.get("/console/audit/verify")).text
    assert "The log is intact: 1 events" in shown
    assert "&lt;b&gt;x&lt;/b&gt;" in shown, "what people type is text, never markup"


async def test_a_log_that_was_not_compared_with_its_mirror_says_so(
    services: BuiltServices, token_for: Callable[..., str], database: Database
) -> None:
    async with database.read_session() as session:
        audit.audit_log(session).mirror = AwsAuditMirror("nowhere", "nowhere", "http://127.0.0.1:9")
    async with client_for(services, audit_verifier=InProcess(database)) as client:
        await sign_in(client, token_for("aud@company.com", "auditor"))
        shown = (await client.get("/console/audit/verify")).text
    assert "The mirror did not answer: the log was not compared with it." in shown


async def test_a_form_from_another_site_is_refused(client: httpx.AsyncClient, token_for: Callable[..., str]) -> None:
    await sign_in(client, token_for("max@company.com", "manager"))
    answer = await client.post("/console/approvals/some-id", data={"decision": "approve"})
    assert answer.status_code == 403
    assert "not sent from the console" in answer.text


async def test_what_does_not_exist_is_a_page_with_a_sentence(
    client: httpx.AsyncClient, token_for: Callable[..., str]
) -> None:
    await sign_in(client, token_for("ana@company.com", "viewer"))
    answer = await client.get("/console/models/nothing")
    assert answer.status_code == 404
    assert re.search(r"There is no (such )?model", answer.text)
    assert answer.headers["content-type"].startswith("text/html")


async def test_signing_out_forgets_the_session(client: httpx.AsyncClient, token_for: Callable[..., str]) -> None:
    await sign_in(client, token_for("ana@company.com", "viewer"))
    await client.post("/console/sign-out")
    client.cookies.clear()
    assert (await client.get("/console")).status_code == 303
