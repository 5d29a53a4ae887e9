"""Every route of MLflow is mapped to a permission, and nothing that is not in the table is let through."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.mlflow_door.access import CLOSED_PREFIXES, TABLE, Access, PathNotPlain, canonical, route_of

# FastAPI's own pages about MLflow's server: no part of what a client uses
_NOT_MLFLOWS = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Every (method, path) of MLflow's server: its Flask application, its handlers, and its FastAPI routers."""
    folder: Path = tmp_path_factory.mktemp("mlflow-routes")
    before = dict(os.environ)
    os.environ.update(
        _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/m.db",
        _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
        MLFLOW_ENABLE_WORKSPACES="true",
        MLFLOW_WORKSPACE_STORE_URI=f"sqlite:///{folder}/m.db",
    )
    try:
        from mlflow.server import app as flask
        from mlflow.server import handlers
        from mlflow.server.fastapi_app import app as fastapi
    finally:
        os.environ.clear()
        os.environ.update(before)
    found = {
        (method, re.sub(r"<path:[^>]*>", "a/b", re.sub(r"<(?!path:)[^>]*>", "a", rule.rule)))
        for rule in flask.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    found |= {
        (method, re.sub(r"<path:[^>]*>", "a/b", re.sub(r"<(?!path:)[^>]*>", "a", path)))
        for path, _, methods in handlers.get_endpoints()
        for method in methods
    }
    found |= {
        (method, re.sub(r"{[^}]*:path}", "a/b", re.sub(r"{[^}:]*}", "a", path)))
        for path, methods in _fastapi_routes(fastapi.routes)
        for method in methods - {"HEAD", "OPTIONS"}
    }
    return sorted(found)


def _fastapi_routes(routes: Any, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    for route in routes:
        if (nested := getattr(route, "original_router", None)) is not None:
            # the prefix of the router itself is in its routes' paths already
            yield from _fastapi_routes(nested.routes, prefix + route.include_context.prefix)
        elif getattr(route, "methods", None) and route.path not in _NOT_MLFLOWS:
            yield prefix + route.path, set(route.methods)


def _mapped(method: str, path: str) -> bool:
    known = canonical(path)
    return (
        route_of(method, path).access is not Access.CLOSED
        or known.startswith(CLOSED_PREFIXES)
        or (method, re.sub(r"/a$", "/<name>", known)) in TABLE
        or (method, known) in TABLE
    )


def test_every_route_of_mlflow_is_mapped(routes: list[tuple[str, str]]) -> None:
    assert len(routes) > 300, "the walk found few routes: it proves nothing"
    assert {"/v1/traces", "/graphql", "/gateway/mlflow/v1/chat/completions", "/get-artifact"} <= {p for _, p in routes}
    missing = [f"{method} {path}" for method, path in routes if not _mapped(method, path)]
    assert not missing, "add each to mlflow_door/access.py"


def test_an_unmapped_route_is_noticed_and_closed() -> None:
    assert not _mapped("POST", "/api/3.0/mlflow/something/new")
    assert route_of("POST", "/api/3.0/mlflow/something/new").access is Access.CLOSED


def test_the_table_names_only_routes_that_exist(routes: list[tuple[str, str]]) -> None:
    known = {(method, canonical(path)) for method, path in routes}
    for method, template in TABLE:
        path = re.sub(r"<[^>]*\*>", "a/b", template)
        assert (method, re.sub(r"<[^>]*>", "a", path)) in known, f"{method} {template}"


def test_graphql_only_reads() -> None:
    from mlflow.server.graphql.graphql_schema_extensions import schema

    mutations = set(schema.graphql_schema.mutation_type.fields)
    # the two searches read; the third echoes its argument
    assert mutations == {"mlflowSearchDatasets", "mlflowSearchRuns", "testMutation"}


@pytest.mark.parametrize(
    "path",
    [
        "/api/2.0/mlflow/../../health",
        "//api/2.0/mlflow/runs/get",
        "/api/2.0/mlflow-artifacts/artifacts/1/../2/x",
        "/api/2.0/mlflow-artifacts/artifacts/1\\2",
        "/api/2.0/mlflow-artifacts/artifacts/1/\x00",
        "relative",
    ],
)
def test_a_path_that_could_mean_two_things_is_refused(path: str) -> None:
    with pytest.raises(PathNotPlain):
        route_of("GET", path)


@given(st.text(min_size=1, max_size=60), st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]))
def test_no_path_is_public_but_one(text: str, method: str) -> None:
    try:
        route = route_of(method, f"/{text}")
    except PathNotPlain:
        return
    assert route.access is not Access.PUBLIC or (method, text) == ("GET", "health")
