"""Errors that were wrong or unclear: each has its status, its sentence, and the form of the place it is shown in."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.exceptions import MlflowException

from mlops_platform.adapters.mlflow import registry as adapter
from mlops_platform.adapters.mlflow.registry import MlflowRegistry
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.sessions import COOKIE, form_token
from mlops_platform.models.interfaces import ArtifactsUnavailable, RegistryRefused, SourceNotReadable
from tests.conftest import client_for
from tests.support.ground import Ground

DEPLOY = {"model_version": "1", "target_stage": "staging", "justification": "x"}


@pytest.fixture
async def console(client: httpx.AsyncClient, token_for: Callable[..., str]) -> httpx.AsyncClient:
    token = token_for("max@company.com", "manager", "platform-admin")
    assert (await client.post("/console/sign-in", data={"token": token})).status_code == 303
    return client


@pytest.mark.parametrize("sent", ["é", "\u0000", "😀", "", "x" * 5_000])
async def test_a_form_that_is_not_ours_is_403_in_whatever_letters(console: httpx.AsyncClient, sent: str) -> None:
    answer = await console.post("/console/approvals/x", data={"form_token": sent, "decision": "approve"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/console/nowhere", 404),
        ("GET", "/console/models/a%2Fb/c", 404),
        ("GET", "/console/approvals?cursor=" + "x" * 600, 422),
        ("POST", "/console/deployments/x/explode", 422),
    ],
)
async def test_what_goes_wrong_in_the_console_is_a_page(
    console: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    data = {"form_token": form_token(console.cookies[COOKIE])} if method == "POST" else None
    answer = await console.request(method, path, data=data)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "content", ["version: [", "version: 1\n", "\x00", "- a\n", None], ids=["torn", "poor", "nul", "list", "gone"]
)
async def test_a_broken_policy_is_503_and_names_the_file(
    ground: Ground, as_: Callable[..., dict[str, str]], tmp_path: Path, content: str | None
) -> None:
    await ground.registered(1)
    file = tmp_path / "our-policy.yaml"
    if content is not None:
        file.write_text(content)
    settings = ground.services.settings.model_copy(update={"policy_file": file})
    async with client_for(replace(ground.services, settings=settings)) as client:
        body = {"model_name": ground.names[0], **DEPLOY}
        answer = await client.post("/api/v1/models/deploy", json=body, headers=ground.headers)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/policy-not-valid")
    assert "our-policy.yaml" in answer.json()["detail"]
    assert str(tmp_path) not in answer.json()["detail"]


async def test_an_empty_idempotency_key_has_its_own_sentence(ground: Ground) -> None:
    for key in ("", "  "):
        answer = await ground.client.post(
            "/api/v1/risk/assess", json={}, headers={**ground.headers, "Idempotency-Key": key}
        )
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-empty")


async def test_a_refusal_is_not_kept_under_a_key_and_a_success_is_for_who_still_may(
    ground: Ground, as_: Callable[..., dict[str, str]]
) -> None:
    await ground.registered(1)
    body = {"model_name": ground.names[0], **DEPLOY}

    async def ask(*roles: str) -> httpx.Response:
        headers = {**as_("eve@company.com", *roles), "Idempotency-Key": "k"}
        return await ground.client.post("/api/v1/models/deploy", json=body, headers=headers)

    assert (await ask("viewer")).status_code == 403
    granted = await ask("data-scientist")
    assert granted.status_code == 200, "the refusal was replayed after the role was granted"
    assert (await ask("data-scientist")).headers["idempotency-replayed"] == "true"
    lost = await ask("viewer")
    assert (lost.status_code, lost.json()["type"]) == (403, "/problems/not-permitted")
    assert (await ask("data-scientist")).json() == granted.json()


class _NoCredentials(Exception):
    """What a library of a store raises: none of MLflow's own."""


@pytest.mark.parametrize(
    ("source", "raised", "wanted", "status"),
    [
        ("s3://bucket/model", _NoCredentials("Unable to locate credentials AKIA"), ArtifactsUnavailable, 503),
        ("s3://bucket/model", PermissionError("denied"), ArtifactsUnavailable, 503),
        ("file:///etc/passwd", MlflowException("no such artifact repository"), SourceNotReadable, 409),
        ("dbfs:/model", MlflowException("no host"), SourceNotReadable, 409),
    ],
    ids=str,
)
async def test_a_source_that_cannot_be_read_is_said_to_be_the_source(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    source: str,
    raised: Exception,
    wanted: type[ArtifactsUnavailable | SourceNotReadable],
    status: int,
) -> None:
    registry = MlflowRegistry("http://127.0.0.1:9")
    monkeypatch.setattr(registry, "_healthy", lambda: True)
    monkeypatch.setattr(registry, "_find", lambda _name: "default")
    monkeypatch.setattr(registry._client, "get_model_version_download_uri", lambda *_: source)

    def fail(**_arguments: Any) -> None:
        raise raised

    monkeypatch.setattr(adapter, "download_artifacts", fail)
    with pytest.raises(wanted) as caught:
        await registry.download("churn", 1, tmp_path)
    assert caught.value.status == status
    assert "version 1 of 'churn'" in caught.value.detail
    assert "AKIA" not in caught.value.detail
    assert "passwd" not in caught.value.detail


async def test_a_refused_registration_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = MlflowRegistry("http://127.0.0.1:9")
    models: dict[str, int] = {"known": 0}
    monkeypatch.setattr(registry, "_healthy", lambda: True)
    monkeypatch.setattr(registry, "_find", lambda _name: None)
    monkeypatch.setattr(registry, "_all_workspaces", lambda: ["default"])

    def create(name: str, **_more: Any) -> None:
        if name in models:
            raise MlflowException("exists", error_code=3001)  # RESOURCE_ALREADY_EXISTS
        models[name] = 0

    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise MlflowException("a tag is too long", error_code=1000)

    monkeypatch.setattr(registry._client, "create_registered_model", create)
    monkeypatch.setattr(registry._client, "search_model_versions", lambda *_: [])
    monkeypatch.setattr(registry._client, "delete_registered_model", models.pop)
    monkeypatch.setattr("mlflow.register_model", refuse)
    for name in ("fresh", "known"):
        with pytest.raises(RegistryRefused):
            await registry.register(
                name, "runs:/0/m", tenant="default", tags={"a": "x" * 10_000}, description="", model_tags={}
            )
    # what was there before stays, whoever made it
    assert models == {"known": 0}


async def test_values_of_environment_variables_are_for_who_may_operate(
    ground: Ground, as_: Callable[..., dict[str, str]]
) -> None:
    await ground.registered(1)
    asked = await ground.ask(
        "POST",
        "/models/deploy",
        {"model_name": ground.names[0], **DEPLOY, "environment_vars": {"MODEL_GREETING": "hunter2hunter2"}},
    )
    path = f"/api/v1/deployments/{asked['deployment_id']}"

    async def seen(email: str, *roles: str, tenant: str = "default") -> Any:
        answer = await ground.client.get(path, headers=as_(email, *roles, tenant=tenant))
        return answer.json()["revisions"][0]["config"]["environment_vars"], answer.text

    for who in (("v@x.co", "viewer"), ("d@x.co", "data-scientist"), ("a@x.co", "auditor"), ("c@x.co", "architect")):
        names, text = await seen(*who)
        assert names == {"MODEL_GREETING": None}
        assert "hunter2" not in text
    assert (await seen("e@x.co", "ml-engineer"))[0] == {"MODEL_GREETING": "hunter2hunter2"}
    # an engineer of another team who may read this one as an auditor does not operate it
    assert (await seen("e@x.co", "ml-engineer", "auditor", tenant="other"))[0] == {"MODEL_GREETING": None}
    assert (await seen("ana@company.com", "data-scientist"))[0] == {"MODEL_GREETING": "hunter2hunter2"}


async def test_the_services_of_a_broken_platform_still_answer_with_sentences(
    services: BuiltServices, as_: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    missing = services.settings.model_copy(update={"scrape_token_file": tmp_path / "file" / "token"})
    (tmp_path / "file").write_text("")
    async with client_for(replace(services, settings=missing)) as client:
        answer = await client.get("/metrics", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/scrape-token-unreadable")
