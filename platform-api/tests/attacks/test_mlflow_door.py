"""Attacks on MLflow, tried at its door. Each has a twin: the same request at the inner address, where it succeeds."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from mlops_platform import bootstrap
from mlops_platform.audit import service as audit
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.identity.interfaces import VerifiedToken
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.models.tables import ModelRow

from ..support.door import API, STORE, Door

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]


@pytest.fixture
def name() -> str:
    return f"door-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def door(mlflow_door: Door, services: BuiltServices) -> Door:
    """The door over an empty catalogue."""
    return mlflow_door


def _inner(url: str, method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, f"{url}{path}", timeout=60, trust_env=False, **more)


ANONYMOUS = [
    ("POST", f"{API}/registered-models/create", {"name": "planted", "tags": [{"key": "tenant", "value": "victim"}]}),
    ("POST", f"{API}/model-versions/set-tag", {"name": "x", "version": "1", "key": "risk_level", "value": "low"}),
    ("PATCH", f"{API}/model-versions/update", {"name": "x", "version": "1", "description": "x"}),
    ("DELETE", f"{API}/registered-models/delete", {"name": "x"}),
    ("POST", f"{API}/experiments/create", {"name": "planted", "artifact_location": "file:///anywhere"}),
    ("GET", f"{API}/registered-models/search", None),
    ("GET", f"{STORE}/0/x", None),
    ("PUT", f"{STORE}/0/x", None),
    ("DELETE", f"{STORE}/0/x", None),
    ("POST", "/graphql", {"query": "{ __typename }"}),
    ("POST", "/v1/traces", None),
    ("GET", "/get-artifact?path=x&run_uuid=x", None),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=x&path=x", None),
    ("POST", f"{API}/webhooks", {}),
    ("GET", "/api/3.0/mlflow/server-info", None),
    ("GET", "/", None),
]


@pytest.mark.parametrize(
    ("method", "path", "body"), ANONYMOUS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_nobody_gets_anything_without_a_token(door: Door, method: str, path: str, body: dict[str, Any] | None) -> None:
    answer = door.ask(method, path, json=body)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    # MLflow's client shows `message`
    assert "export MLFLOW_TRACKING_TOKEN=$(mlops token" in answer.json()["message"]


def test_the_same_requests_succeed_where_no_door_is(mlflow_server: str, name: str) -> None:
    made = _inner(mlflow_server, "POST", f"{API}/registered-models/create", json={"name": name})
    assert made.is_success
    tag = {"name": name, "key": "tenant", "value": "victim"}
    assert _inner(mlflow_server, "POST", f"{API}/registered-models/set-tag", json=tag).is_success
    assert _inner(mlflow_server, "DELETE", f"{API}/registered-models/delete", json={"name": name}).is_success


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer not.a.token"},
        {"Authorization": "Bearer " + "[" * 3000},
        {"Authorization": "Basic ****"},
        {"Authorization": "Basic dXNlcjo="},
        {"Authorization": "Digest x"},
        {"Cookie": "mlops_session=nonsense"},
        {"X-MLFLOW-WORKSPACE": "default"},
    ],
)
def test_a_bad_credential_is_a_401_with_a_sentence(door: Door, headers: dict[str, str]) -> None:
    answer = door.ask("GET", f"{API}/registered-models/search", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["detail"]


def test_two_authorization_headers_are_refused(door: Door) -> None:
    token = door.token()
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
    answer = httpx.get(f"{door.url}{API}/registered-models/search", headers=headers, trust_env=False)
    assert answer.status_code == 401


def test_a_token_as_the_password_of_basic_counts(door: Door) -> None:
    answer = httpx.get(
        f"{door.url}{API}/registered-models/search", auth=("anybody", door.token()), trust_env=False, timeout=60
    )
    assert answer.is_success


async def test_a_retag_is_an_event_of_a_person_and_in_the_catalogue_at_once(
    door: Door, services: BuiltServices, name: str, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    ana = door.token("ana@company.com", "data-scientist")
    door.register(ana, name, risk_level="low")
    for level in ("high", "low"):
        retag = {"name": name, "version": "1", "key": "risk_level", "value": level}
        assert door.ask("POST", f"{API}/model-versions/set-tag", ana, json=retag).is_success
        seen = (await client.get(f"/api/v1/models/{name}/versions/1", headers=as_("ana@company.com", "viewer"))).json()
        # a tag raises the level and does not lower it
        assert (seen["tags"]["risk_level"], seen["risk_level"]) == (level, "high")
    # names are shown to who has the key that the door's pseudonyms were made with
    theirs = bootstrap.build_database(services.settings.model_copy(update={"home": door.home}))
    async with theirs.read_session() as session:
        events = (await audit.events(session, resource=f"model:{name}:1")).items
    await theirs.dispose()
    assert {event.actor for event in events} == {"ana@company.com"}
    assert [event.action for event in events].count("model:version:registered") == 1
    changed = [event.details for event in events if event.action == "model:version:changed"]
    assert changed == [{"change": "set-tag", "tag": "risk_level", "value": level} for level in ("low", "high")]


async def test_a_models_risk_level_reaches_its_versions_at_once(
    door: Door, name: str, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]], services: BuiltServices
) -> None:
    ana = door.token("ana@company.com", "data-scientist")
    door.register(ana, name)
    tag = {"name": name, "key": "risk_level", "value": "high"}
    assert door.ask("POST", f"{API}/registered-models/set-tag", ana, json=tag).is_success
    seen = await client.get(f"/api/v1/models/{name}/versions/1", headers=as_("ana@company.com", "viewer"))
    assert seen.json()["risk_level"] == "high"


async def test_a_model_belongs_to_the_tenant_of_the_token_whatever_its_tags_say(
    door: Door, services: BuiltServices, name: str
) -> None:
    eve = door.token("eve@company.com", tenant="stranger")
    planted = {"name": name, "tags": [{"key": "tenant", "value": "default"}]}
    refused = door.ask("POST", f"{API}/registered-models/create", eve, json=planted)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/reserved-tag")
    camel = {"name": name, "tags": [{"key": "x", "value": "y"}], "deploymentJobId": "1"}
    assert door.ask("POST", f"{API}/registered-models/create", eve, json=camel).status_code == 400
    twice = orjson.dumps(orjson.dumps(planted).decode())
    headers = {"Content-Type": "application/json"}
    assert door.ask("POST", f"{API}/registered-models/create", eve, content=twice, headers=headers).status_code == 400
    door.register(eve, name)
    async with services.database.read_session() as session:
        model = await session.get(ModelRow, name)
    assert model is not None
    assert model.tenant == "stranger"


def test_another_tenants_things_do_not_exist(door: Door, name: str) -> None:
    ana, eve = door.token(), door.token("eve@company.com", "ml-engineer", "data-scientist", tenant="stranger")
    run_id, place = door.register(ana, name)
    tries: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"{API}/registered-models/get?name={name}", {}),
        ("GET", f"{API}/model-versions/get?name={name}&version=1", {}),
        ("GET", f"{API}/model-versions/get-download-uri?name={name}&version=1", {}),
        ("GET", f"{API}/runs/get?run_id={run_id}", {}),
        ("GET", f"{API}/artifacts/list?run_id={run_id}", {}),
        ("GET", f"/get-artifact?path=model/weights&run_uuid={run_id}", {}),
        ("GET", f"/model-versions/get-artifact?path=weights&name={name}&version=1", {}),
        ("GET", f"{STORE}/{place}/model/weights", {}),
        ("PUT", f"{STORE}/{place}/other", {"content": b"x"}),
        ("DELETE", f"{STORE}/{place}/other", {}),
        ("POST", f"{API}/runs/set-tag", {"json": {"run_id": run_id, "key": "a", "value": "b"}}),
        ("POST", f"{API}/runs/log-metric", {"json": {"run_id": run_id, "key": "a", "value": 1, "timestamp": 1}}),
        ("POST", f"{API}/runs/delete", {"json": {"run_id": run_id}}),
        ("POST", f"{API}/model-versions/set-tag", {"json": {"name": name, "version": "1", "key": "a", "value": "b"}}),
        ("POST", f"{API}/registered-models/alias", {"json": {"name": name, "version": "1", "alias": "a"}}),
        ("PATCH", f"{API}/registered-models/update", {"json": {"name": name, "description": "mine"}}),
        ("POST", f"{API}/registered-models/rename", {"json": {"name": name, "new_name": f"{name}-mine"}}),
        ("DELETE", f"{API}/model-versions/delete", {"json": {"name": name, "version": "1"}}),
        ("DELETE", f"{API}/registered-models/delete", {"json": {"name": name}}),
        ("POST", f"{API}/registered-models/create", {"json": {"name": name}}),
        ("GET", "/api/3.0/mlflow/workspaces/default", {}),
    ]
    for method, path, more in tries:
        for headers in ({}, {"X-MLFLOW-WORKSPACE": "default"}):
            answer = door.ask(method, path, eve, headers=headers, **more)
            assert 400 <= answer.status_code < 500, f"{method} {path} answered {answer.status_code}: {answer.text}"
    found = door.ask("GET", f"{API}/registered-models/search?max_results=1000", eve).json()
    assert name not in {model["name"] for model in found.get("registered_models", [])}
    query = {"query": f'{{ mlflowGetRun(input: {{runId: "{run_id}"}}) {{ run {{ info {{ runId }} }} }} }}'}
    hidden, shown = (door.ask("POST", "/graphql", who, json=query).json()["data"] for who in (eve, ana))
    assert not (hidden["mlflowGetRun"] or {}).get("run")
    assert shown["mlflowGetRun"]["run"]["info"]["runId"] == run_id
    spaces = door.ask("GET", "/api/3.0/mlflow/workspaces", eve).json()["workspaces"]
    assert [space["name"] for space in spaces] == ["stranger"]
    # and it is still as its owner left it
    assert door.ask("GET", f"{STORE}/{place}/model/weights", ana).content == b"1234"
    kept = door.ask("GET", f"{API}/registered-models/get?name={name}", ana).json()["registered_model"]
    assert (kept["name"], kept.get("aliases"), kept.get("description")) == (name, None, None)


def test_a_version_names_no_run_of_another_tenant_and_holds_nothing_of_its_fast(
    door: Door, mlflow_server: str, name: str
) -> None:
    ana, eve = door.token(tenant="risk"), door.token("eve@company.com", tenant="stranger")
    run_id, place = door.run(ana, weights=b"1234")
    assert door.ask("POST", f"{API}/registered-models/create", eve, json={"name": name}).is_success
    for body in (
        {"source": f"runs:/{run_id}/model", "run_id": run_id},
        {"source": f"runs:/%2e/{run_id}/model", "run_id": run_id},
        {"source": "prompt-template", "run_id": run_id},
        {"source": "models:/m-0123456789abcdef0123456789abcdef", "model_id": "m-0123456789abcdef0123456789abcdef"},
    ):
        refused = door.ask("POST", f"{API}/model-versions/create", eve, json={"name": name, **body})
        assert (refused.status_code, refused.json()["type"]) == (404, "/problems/source-not-found"), body
    # its owner goes on with the run
    assert door.ask("PUT", f"{STORE}/{place}/model/weights", ana, content=b"5678").is_success
    assert door.ask("POST", f"{API}/runs/delete", ana, json={"run_id": run_id}).is_success
    # the twin: MLflow alone takes it
    abroad = {"X-MLFLOW-WORKSPACE": "stranger"}
    body = {"name": name, "source": f"runs:/{run_id}/model", "run_id": run_id}
    assert _inner(mlflow_server, "POST", f"{API}/model-versions/create", json=body, headers=abroad).is_success


@pytest.mark.parametrize("path", ["workspaces", "workspaces/", "./workspaces", "%77orkspaces", "%2577orkspaces/."])
def test_nobody_lists_the_names_of_the_teams(door: Door, mlflow_server: str, path: str) -> None:
    door.run(door.token(tenant="risk"), weights=b"1234")
    listed = door.ask("GET", f"{STORE}?path={path}", door.token())
    assert (listed.status_code, "risk" in listed.text) == (403, False)
    assert "risk" in _inner(mlflow_server, "GET", f"{STORE}?path=workspaces").text, "MLflow alone tells it"


def test_an_auditor_reads_other_tenants_and_writes_nowhere(door: Door, name: str) -> None:
    door.register(door.token(), name)
    auditor = door.token("aud@company.com", "auditor", tenant="stranger")
    abroad = {"X-MLFLOW-WORKSPACE": "default"}
    assert door.ask("GET", f"{API}/registered-models/get?name={name}", auditor, headers=abroad).is_success
    tag = {"name": name, "key": "a", "value": "b"}
    assert door.ask("POST", f"{API}/registered-models/set-tag", auditor, headers=abroad, json=tag).status_code == 403
    assert door.ask("POST", f"{API}/registered-models/set-tag", auditor, json=tag).status_code == 403


def test_two_roles_together_write_in_no_other_tenant(door: Door, name: str) -> None:
    door.register(door.token(), name)
    both = door.token("eve@company.com", "ml-engineer", "auditor", tenant="stranger")
    tag = {"name": name, "version": "1", "key": "a", "value": "b"}
    for headers in ({}, {"X-MLFLOW-WORKSPACE": "default"}):
        answer = door.ask("POST", f"{API}/model-versions/set-tag", both, headers=headers, json=tag)
        assert answer.status_code in {403, 404}


@pytest.mark.parametrize("role", ["viewer", "manager", "auditor", "service", "no-such-role"])
def test_who_may_not_register_writes_nothing(door: Door, name: str, role: str) -> None:
    who = door.token("v@company.com", role)
    for method, path, body in (
        ("POST", f"{API}/registered-models/create", {"name": name}),
        ("POST", f"{API}/runs/create", {"experiment_id": "0"}),
        ("PUT", f"{STORE}/0/planted", None),
        ("DELETE", f"{API}/registered-models/delete", {"name": name}),
        ("POST", f"{API}/experiments/create", {"name": name}),
    ):
        assert door.ask(method, path, who, json=body).status_code in {403, 404}, path


@pytest.mark.parametrize("tenant", ["default", "risk"])
def test_bytes_of_a_registered_version_stay(door: Door, name: str, tenant: str) -> None:
    ana = door.token(tenant=tenant)
    run_id, place = door.register(ana, name)
    folder, experiment = place.rsplit("/", 2)[0], place.split("/")[-3]
    for method, path, more in (
        ("PUT", f"{STORE}/{place}/model/weights", {"content": b"evil"}),
        ("PUT", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{place}/model/weights", {"content": b"evil"}),
        ("PUT", f"{STORE}/{place}/model/added", {"content": b"evil"}),
        ("PUT", f"{STORE}/{place}/model%2Fweights", {"content": b"evil"}),
        ("DELETE", f"{STORE}/{place}/model/weights", {}),
        ("DELETE", f"{STORE}/{place}/model", {}),
        ("DELETE", f"{STORE}/{place}", {}),
        ("DELETE", f"{STORE}/{folder.rsplit('/', 1)[0] if '/' in folder else folder}", {}),
        ("PUT", f"{STORE}/{place.removeprefix(f'workspaces/{tenant}/')}/model/weights", {"content": b"evil"}),
        ("PUT", f"{STORE}/{place}/./model/./weights", {"content": b"evil"}),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{place}/model/weights", {"json": {}}),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=model/weights", {"content": b"evil"}),
        ("POST", f"{API}/runs/delete", {"json": {"run_id": run_id}}),
        ("POST", f"{API}/experiments/delete", {"json": {"experiment_id": experiment}}),
    ):
        answer = door.ask(method, path, ana, **more)
        assert answer.status_code == 409, f"{method} {path} answered {answer.status_code}"
        assert answer.json()["type"] == "/problems/registered-bytes"
    assert door.ask("GET", f"{STORE}/{place}/model/weights", ana).content == b"1234"
    for path in (
        f"{place}/model%252Fweights",
        f"{place}/%256dodel/weights",
        f"file:{place}/model/weights",
        f"%20file:{place}/model/weights",
        f"File:{place}/model/weights",
        f"{place}/model%5Cweights",
        f"{place}/x/%2e%2e/model/weights",
    ):
        assert door.ask("PUT", f"{STORE}/{path}", ana, content=b"evil").status_code == 400, path
    assert door.ask("GET", f"{STORE}/{place}/model/weights", ana).content == b"1234"
    # beside the version's own folder the run goes on
    assert door.ask("PUT", f"{STORE}/{place}/plot.png", ana, content=b"x").is_success


def test_the_same_bytes_are_overwritten_where_no_door_is(door: Door, mlflow_server: str, name: str) -> None:
    _, place = door.register(door.token(), name)
    assert _inner(mlflow_server, "PUT", f"{STORE}/{place}/model/weights", content=b"evil").is_success
    assert door.ask("GET", f"{STORE}/{place}/model/weights", door.token()).content == b"evil"


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc",
        "/etc",
        "s3://elsewhere/model",
        "http://evil.example/model",
        "mlflow-artifacts:/1/../../x",
        "mlflow-artifacts:/1/%2e%2e/%252e%252e/x",
        "mlflow-artifacts://other-host/1/x",
        "models://host/m-1",
        "dbfs:/x",
        "",
        None,
    ],
)
def test_a_version_of_bytes_outside_the_store_is_refused(door: Door, name: str, source: str | None) -> None:
    ana = door.token()
    door.ask("POST", f"{API}/registered-models/create", ana, json={"name": name})
    answer = door.ask("POST", f"{API}/model-versions/create", ana, json={"name": name, "source": source})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/outside-the-store")


@pytest.mark.parametrize("field", ["artifact_location", "artifactLocation"])
def test_an_experiment_chooses_no_place(door: Door, name: str, field: str) -> None:
    body = {"name": name, field: "file:///anywhere"}
    assert door.ask("POST", f"{API}/experiments/create", door.token(), json=body).status_code in {400, 403}


FOREIGN = [
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {},
]


async def _session(services: BuiltServices, door: Door) -> str:
    token = door.token()
    ana = Principal("ana@company.com", frozenset({Role.DATA_SCIENTIST}), "default")
    return await services.sessions.open_with_token(token, VerifiedToken(ana, time.time() + 600))


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_session_does_not_work_for_a_page_of_another_origin(
    door: Door, services: BuiltServices, name: str, headers: dict[str, str]
) -> None:
    session = {"Cookie": f"other=1; mlops_session={await _session(services, door)}"}
    body = {"name": name}
    answer = door.ask("POST", f"{API}/registered-models/create", headers={**session, **headers}, json=body)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/another-sites-request")
    own = {"Origin": door.url, "Sec-Fetch-Site": "same-origin"}
    assert door.ask("POST", f"{API}/registered-models/create", headers={**session, **own}, json=body).is_success


async def test_a_session_that_was_ended_opens_nothing(door: Door, services: BuiltServices) -> None:
    cookie = await _session(services, door)
    headers = {"Cookie": f"mlops_session={cookie}", "Sec-Fetch-Site": "same-origin"}
    search = f"{API}/registered-models/search"
    assert door.ask("GET", search, headers=headers).is_success
    await services.sessions.end(cookie, "signed_out")
    assert door.ask("GET", search, headers=headers).status_code == 401


def test_a_person_without_a_session_is_sent_to_the_sign_in_page(door: Door) -> None:
    answer = door.ask("GET", "/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:8000/console/sign-in")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/3.0/mlflow/something/new"),
        ("POST", f"{API}/webhooks"),
        ("GET", "/api/3.0/mlflow/gateway/secrets/list"),
        ("POST", "/gateway/mlflow/v1/chat/completions"),
        ("POST", "/ajax-api/3.0/jobs/"),
        ("POST", "/api/3.0/mlflow/workspaces"),
        ("DELETE", "/api/3.0/mlflow/workspaces/default"),
        ("OPTIONS", f"{API}/registered-models/get"),
        ("GET", "/metrics"),
    ],
)
def test_what_is_not_offered_is_closed_for_everybody(door: Door, method: str, path: str) -> None:
    answer = door.ask(method, path, door.token("root@company.com", "platform-admin"), json={})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/closed-route")


def test_a_tenant_whose_name_is_no_workspace_is_refused(door: Door) -> None:
    for tenant in ("x", "Has Space", "workspaces", "a" * 64, "../default", "default\n"):
        answer = door.ask("GET", f"{API}/registered-models/search", door.token("e@company.com", tenant=tenant))
        # some are refused with the token already
        assert answer.status_code in {401, 403}, tenant
        assert answer.json()["type"] in {"/problems/tenant-has-no-workspace", "/problems/token-refused"}


def test_a_colleague_does_not_make_a_model_its_own_to_delete_it(door: Door, name: str) -> None:
    door.register(door.token("ana@company.com"), name, owner="ana@company.com")
    eve = door.token("eve@company.com")
    steal = {"name": name, "version": "1", "key": "owner", "value": "eve@company.com"}
    assert door.ask("POST", f"{API}/model-versions/set-tag", eve, json=steal).status_code == 403
    assert door.ask("DELETE", f"{API}/registered-models/delete", eve, json={"name": name}).status_code == 403
    assert door.ask(
        "DELETE", f"{API}/registered-models/delete", door.token("ana@company.com"), json={"name": name}
    ).is_success
