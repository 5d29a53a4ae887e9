"""Deny by default, proven route by route: anonymous and role-less callers get nothing but the public list."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from mlops_platform.app import create_control_plane
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.console.sessions import signed_in
from mlops_platform.identity.authorizer import ACTIONS, Authorizer
from mlops_platform.identity.dependencies import PERMISSION, authenticate
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.routes import PUBLIC


def _api_routes(app: FastAPI) -> list[APIRoute]:
    def walk(routes: Any) -> Any:
        for route in routes:
            if isinstance(route, APIRoute):
                yield route
            elif nested := getattr(route, "routes", None) or getattr(
                getattr(route, "original_router", None), "routes", None
            ):
                yield from walk(nested)

    return list(walk(app.routes))


def _permissions(dependant: Dependant) -> list[str]:
    own = [getattr(dependant.call, PERMISSION)] if hasattr(dependant.call, PERMISSION) else []
    return own + [permission for child in dependant.dependencies for permission in _permissions(child)]


def _authenticates(dependant: Dependant) -> bool:
    return dependant.call in {authenticate, signed_in} or any(_authenticates(child) for child in dependant.dependencies)


def _of_everybody(path: str) -> bool:
    """Whether a path is about the caller: whoever is signed in may know who that is, and end that."""
    return path in {"/api/v1/me", "/console/account"} or path.startswith("/api/v1/me/")


@pytest.fixture
def app(services: BuiltServices) -> FastAPI:
    return create_control_plane(services)


def test_every_route_declares_exactly_one_permission_or_is_public(app: FastAPI) -> None:
    routes = _api_routes(app)
    assert len(routes) > 10, "the walk found no routes: it proves nothing"
    for route in routes:
        if route.path in PUBLIC or _of_everybody(route.path):
            assert route.path in PUBLIC or _authenticates(route.dependant)
            continue
        permissions = _permissions(route.dependant)
        assert len(permissions) == 1, f"{route.methods} {route.path} declares {permissions}"
        assert permissions[0] in ACTIONS


def test_the_public_list_names_only_paths_that_exist(app: FastAPI) -> None:
    paths = {getattr(route, "path", "") for route in app.routes} | {route.path for route in _api_routes(app)}
    assert paths >= PUBLIC, PUBLIC - paths


async def test_anonymous_callers_are_refused_everywhere(app: FastAPI, client: httpx.AsyncClient) -> None:
    for route in _api_routes(app):
        if route.path in PUBLIC or not route.path.startswith("/api/"):
            continue
        for method in route.methods:
            answer = await client.request(method, route.path.replace("{", "").replace("}", ""), json={})
            assert answer.status_code == 401, f"{method} {route.path} answered {answer.status_code} to nobody"
            assert answer.json()["type"] == "/problems/missing-token"


async def test_a_caller_without_a_role_is_refused_everywhere(
    app: FastAPI, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    nobody = as_("stranger@company.com", "no-such-role")
    for route in _api_routes(app):
        if route.path in PUBLIC or not route.path.startswith("/api/") or _of_everybody(route.path):
            continue
        for method in route.methods:
            answer = await client.request(method, route.path.replace("{", "").replace("}", ""), headers=nobody, json={})
            assert answer.status_code == 403, (
                f"{method} {route.path} answered {answer.status_code} to a caller without a role"
            )


# docs/governance/roles.md, written out by hand: the policies are compared with this, not with themselves
MATRIX = {
    "viewer": {"model:read", "deployment:read", "approval:read", "feature:read", "cost:read"},
    "data-scientist": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "model:register",
        "deployment:create",
        "prediction:create",
        "gate:measure",
        "approval:withdraw",
        "risk:propose",
    },
    "senior-data-scientist": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "model:register",
        "deployment:create",
        "prediction:create",
        "approval:decide",
        "gate:measure",
        "approval:withdraw",
        "risk:propose",
    },
    "ml-engineer": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "model:register",
        "deployment:create",
        "prediction:create",
        "model:delete",
        "deployment:operate",
        "feature:write",
        "gate:measure",
        "approval:withdraw",
        "gate:record",
        "gate:override",
        "risk:propose",
    },
    "team-lead": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "model:register",
        "deployment:create",
        "prediction:create",
        "approval:decide",
        "gate:measure",
        "approval:withdraw",
        "deployment:operate",
        "risk:propose",
    },
    "manager": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "approval:decide",
        "deployment:operate",
        "risk:propose",
        "risk:lower",
    },
    "architect": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "approval:decide",
        "risk:propose",
        "risk:lower",
    },
    "domain-expert": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "approval:decide",
        "risk:propose",
    },
    "cab-member": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "approval:decide",
        "risk:propose",
        "risk:lower",
    },
    "auditor": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "audit:read",
        "identity:review",
    },
    "service": {"prediction:create", "feature:read", "model:read", "gate:measure", "gate:record"},
    "platform-admin": set(ACTIONS),
}
ABROAD: dict[str, set[str]] = {
    "architect": {
        "model:read",
        "deployment:read",
        "approval:read",
        "approval:decide",
        "risk:propose",
        "risk:lower",
    },
    "cab-member": {
        "model:read",
        "deployment:read",
        "approval:read",
        "approval:decide",
        "risk:propose",
        "risk:lower",
    },
    "auditor": {
        "model:read",
        "deployment:read",
        "approval:read",
        "feature:read",
        "cost:read",
        "audit:read",
        "identity:review",
    },
    "platform-admin": set(ACTIONS),
}


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_exactly_what_the_matrix_says(role: Role) -> None:
    authorizer = Authorizer()
    caller = Principal("someone@company.com", frozenset({role}), "ours")
    assert {action for action in ACTIONS if authorizer.allowed(caller, action, "ours")} == MATRIX[role]
    assert {action for action in ACTIONS if authorizer.allowed(caller, action, "theirs")} == ABROAD.get(role, set())


# beyond the matrix, with what a person requested or owns, before production
OWN = {
    role: {"deployment:operate", "model:delete"} for role in ("data-scientist", "senior-data-scientist", "team-lead")
}


@pytest.mark.parametrize("role", Role)
def test_what_is_ones_own_may_be_stopped_and_deleted_by_who_may_deploy(role: Role) -> None:
    authorizer = Authorizer()
    caller = Principal("someone@company.com", frozenset({role}), "ours")
    allowed = {action for action in ACTIONS if authorizer.allowed(caller, action, "ours", own=True)}
    assert allowed == MATRIX[role] | OWN.get(role, set())
    # one's own in another tenant is nobody's
    assert {action for action in ACTIONS if authorizer.allowed(caller, action, "theirs", own=True)} == ABROAD.get(
        role, set()
    )


async def test_a_refusal_names_the_roles_that_may(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    answer = await client.get("/api/v1/audit/events", headers=as_("ana@company.com", "data-scientist"))
    assert answer.status_code == 403
    assert "auditor, platform-admin" in answer.json()["detail"]
    assert "data-scientist" in answer.json()["detail"]


def test_a_caller_without_roles_may_do_nothing() -> None:
    authorizer = Authorizer()
    assert not any(authorizer.allowed(Principal("x", frozenset(), "ours"), action, "ours") for action in ACTIONS)
