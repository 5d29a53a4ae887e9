"""The data plane bypasses FastAPI, so its routes are proven here: nobody gets in by that door either."""

from collections.abc import Callable

import httpx
import pytest

PREDICT = ("POST", "/api/v1/predict", {"model_name": "m", "input_data": {"x": 1}})
INFER = ("POST", "/v2/models/m/infer", {"inputs": []})
METADATA = ("GET", "/v2/models/m", None)
VERSION_READY = ("GET", "/v2/models/m/versions/1/ready", None)
RETRIEVE = ("POST", "/api/v1/features/retrieve", {"feature_refs": ["v:f"], "entity_ids": ["a"]})
ROUTES = [PREDICT, INFER, METADATA, VERSION_READY, RETRIEVE, ("GET", "/v2", None)]
Request = tuple[str, str, dict[str, object] | None]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route[1])
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YW5hOnNlY3JldA==", "Bearer not.a.token", "Bearer e30.e30.", "bearer \xff"],
)
async def test_callers_without_a_good_token_are_refused(
    client: httpx.AsyncClient, route: Request, header: str | None
) -> None:
    method, path, body = route
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = await client.request(method, path, json=body, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    if path.startswith("/api"):
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", [PREDICT, INFER, METADATA, VERSION_READY], ids=lambda route: route[1])
@pytest.mark.parametrize("role", ["viewer", "auditor", "manager", "architect", "domain-expert", "cab-member"])
async def test_roles_that_may_not_predict_are_refused(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]], route: Request, role: str
) -> None:
    method, path, body = route
    answer = await client.request(method, path, json=body, headers=as_("v@company.com", role))
    assert answer.status_code == 403, answer.text


async def test_a_token_without_any_known_role_reads_no_features(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    method, path, body = RETRIEVE
    answer = await client.request(method, path, json=body, headers=as_("x@company.com", "wizard"))
    assert answer.status_code == 403


async def test_who_may_predict_learns_nothing_about_models_that_are_not_there(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    for method, path, body in (PREDICT, INFER, METADATA):
        answer = await client.request(method, path, json=body, headers=as_("ana@company.com", "data-scientist"))
        assert answer.status_code == 404, answer.text
