"""Whoever refuses a request, the answer has one form: problem+json, the schema of the document, the request's id."""

from collections.abc import Callable

import httpx
import jsonschema
import pytest

from mlops_platform.predictions.description import components

HUGE = b"x" * 10_000_000
REFUSALS = {
    "FastAPI: no such route": ("GET", "/api/v1/nothing", None, {}, 404),
    "FastAPI: not valid": ("POST", "/api/v1/features/push", b"{}", {}, 422),
    "FastAPI: not JSON": ("POST", "/api/v1/features/push", b"{", {}, 400),
    "the body limit": ("POST", "/api/v1/features/push", HUGE, {}, 413),
    "the body limit, in chunks": ("POST", "/api/v1/features/push", [HUGE], {}, 413),
    "idempotency": ("POST", "/api/v1/features/push", b"{}", {"Idempotency-Key": "k" * 300}, 422),
    "the data plane": ("POST", "/api/v1/predict", b"{}", {}, 422),
    "the data plane: body": ("POST", "/api/v1/predict", HUGE, {}, 413),
    "the data plane: features": ("POST", "/api/v1/features/retrieve", b"{", {}, 400),
}


async def _pieces(parts: list[bytes]) -> object:
    for part in parts:
        yield part


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_a_problem_that_names_its_request(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]], name: str
) -> None:
    method, path, body, headers, status = REFUSALS[name]
    content = _pieces(body) if isinstance(body, list) else body
    sent = {**as_("eve@company.com", "ml-engineer"), "X-Request-ID": "mine-1", "Content-Type": "application/json"}
    answer = await client.request(method, path, content=content, headers={**sent, **headers})  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("x-request-id") == ["mine-1"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert ("close" in answer.headers.get("connection", "")) == (status == 413)
    problem = answer.json()
    jsonschema.validate(problem, {**components()["ProblemDetails"], "additionalProperties": False})
    assert (problem["status"], problem["request_id"]) == (status, "mine-1")


async def test_both_planes_refuse_a_large_body_as_the_same_problem(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    headers = as_("eve@company.com", "ml-engineer")
    kinds = set()
    for path, more in (
        ("/api/v1/predict", {}),
        ("/api/v1/features/retrieve", {}),
        ("/api/v1/features/push", {}),
        ("/api/v1/features/push", {"Idempotency-Key": "k"}),
    ):
        answer = await client.post(path, content=HUGE, headers={**headers, **more})
        kinds.add((answer.status_code, answer.json()["type"], answer.json()["detail"]))
    assert len(kinds) == 1, kinds
