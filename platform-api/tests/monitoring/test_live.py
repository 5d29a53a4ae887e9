"""`mlops up` with a real Prometheus, the shipped rules and some traffic: what the dashboards and alerts ask for is there."""

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from ..running.platform import Platform
from ..support.waiting import eventually
from .shipped import ALERTS, PANELS, RECORDED, names_in

pytestmark = [
    pytest.mark.whole("a platform and a Prometheus for minutes; not shown to pass since MLflow has a door"),
    pytest.mark.external("prometheus"),
    pytest.mark.timeout(1260),
]

# what one machine has not, and why; a query that names one of these is not asked here
NEEDS_A_CLUSTER = {
    "node_": "node-exporter runs on the cluster's nodes",
    "kube_": "kube-state-metrics asks a Kubernetes API",
    "container_": "cAdvisor is part of the kubelet",
    "DCGM_": "there is no GPU",
    "aws_": "there is no AWS account",
    "model_server_": "model servers listen on Unix sockets here and are not scraped",
    "certmanager_": "cert-manager runs on the cluster",
    'up{job="kserve-models"}': "models are served by the platform itself here",
    'up{job="mlflow"}': "MLflow's exporter is on in the cluster's image only; the platform's own calls are measured",
    "prometheus_notifications_errors_total": "no Alertmanager is configured here",
    "alertmanager_": "no Alertmanager runs here",
    "tls_certificate": "every address here is http",
    "audit_mirror_": "no audit mirror is configured here; tests/audit shows them",
    "cost_": "emitted by the costs room, whose tests show them",
    "tenant_budget_usd": "emitted by the costs room, whose tests show them",
    # these say something once there is something to say
    "backup_newest_timestamp_seconds": "no backup was asked for; tests/backup show it",
    "backup_restore_test_timestamp_seconds": "no backup was tried out; tests/backup show it",
    "notice_channel_away_seconds": "no channel is configured here; tests/notifications show it",
    "notices_dead": "no channel is configured here; tests/notifications show it",
    "revisions_refused": "nothing was refused; tests/attacks show it",
    "worker_items_failed_for_good": "no item was given up; tests/failing show it",
}
COLUMNS = ["age", "income", "visits"]
_WHO = ("ana@company.com", "data-scientist")


class Walk:
    """What people do to a platform, twice, so that everything that counts has grown between two scrapes."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.pages: dict[str, str] = {}
        """Critical alerts that fired or were about to while nothing was broken."""
        self.random = np.random.default_rng(3)

    def ask(self, method: str, path: str, who: tuple[str, str] = _WHO, **arguments: Any) -> httpx.Response:
        return self.platform.ask(method, path, *who, **arguments)

    def train(self) -> None:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{self.platform.mlflow_port}")
        token = self.platform.mlops("token", "ana@company.com", "--role", "data-scientist")
        with mock.patch.dict(os.environ, MLFLOW_TRACKING_TOKEN=token):
            # bytes of their own: a level belongs to bytes, whatever they are called
            for name, risk in (("calm", "low"), ("watched", "medium")):
                rows = pd.DataFrame(self.random.normal(size=(200, 3)), columns=COLUMNS)
                model = LogisticRegression().fit(rows, (rows["age"] > 0).astype(int))
                with mlflow.start_run():
                    logged = mlflow.sklearn.log_model(
                        model, name="model", input_example=rows.head(60), pip_requirements=["scikit-learn"]
                    )
                for _ in range(2):
                    mlflow.register_model(logged.model_uri, name, tags={"risk_level": risk})

    def deploy(self, name: str, version: str) -> dict[str, Any]:
        body = {"model_name": name, "model_version": version, "target_stage": "staging", "justification": "test"}
        answer = self.ask("POST", "/api/v1/models/deploy", json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def once(self, version: str) -> None:
        """Deploy, reject, predict well and badly, read and write features, be refused, repeat a write."""
        deployed = self.deploy("calm", version)["deployment_id"]
        held = self.deploy("watched", version)
        rejected = self.ask(
            "POST",
            f"/api/v1/approvals/{held['approval_id']}/decisions",
            ("max@company.com", "manager"),
            json={"decision": "reject", "comment": "no"},
        )
        assert rejected.is_success, rejected.text
        eventually(lambda: self._live(deployed, version))
        # a revision is in the exposition, at zero, before its first request: what comes after that scrape is an increase
        revision = self.ask("GET", f"/api/v1/deployments/{deployed}").json()["revisions"][0]["id"]
        eventually(lambda: bool(_query(self.platform, f'model_revision_requests_total{{revision="{revision}"}} == 0')))
        self.predict(80)
        for wrong in (
            {"model_name": "calm", "input_data": {"age": "old"}},
            {"model_name": "nobody", "input_data": {"age": 1}},
        ):
            assert self.ask("POST", "/api/v1/predict", json=wrong).is_client_error
        self.features()
        assert self.ask("GET", "/api/v1/audit/verify", ("v@company.com", "viewer")).status_code == 403
        stranger = {"Authorization": "Bearer not-a-token"}
        assert httpx.get(f"{self.platform.url}/api/v1/models", headers=stranger).status_code == 401
        operator = ("max@company.com", "manager")
        for operation in ("pause", "resume", "pause", "resume"):
            reply = self.platform.ask(
                "POST", f"/api/v1/deployments/{deployed}/{operation}", *operator, json={"reason": version}
            )
            assert reply.is_success, reply.text
        self.repeat(deployed, version)

    def repeat(self, deployment: str, key: str) -> None:
        token = self.platform.mlops("token", "max@company.com", "--role", "manager")
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"walk-{key}"}
        for _ in range(2):
            httpx.post(
                f"{self.platform.url}/api/v1/deployments/{deployment}/pause", json={"reason": "again"}, headers=headers
            )
        self.ask(
            "POST", f"/api/v1/deployments/{deployment}/resume", ("max@company.com", "manager"), json={"reason": "go on"}
        )

    def _live(self, deployment: str, version: str) -> bool:
        shown = self.ask("GET", f"/api/v1/deployments/{deployment}", ("v@company.com", "viewer")).json()
        return bool(shown["revisions"][0]["state"] == "live" and str(shown["revisions"][0]["version"]) == version)

    def predict(self, count: int) -> None:
        body = {"model_name": "calm", "input_data": {"age": 1.0, "income": 0.0, "visits": 0.0}}
        eventually(lambda: self.ask("POST", "/api/v1/predict", json=body).is_success)
        for _ in range(count):
            row = dict(zip(COLUMNS, self.random.normal(size=3).tolist(), strict=True))
            assert self.ask("POST", "/api/v1/predict", json={**body, "input_data": row}).is_success

    def features(self) -> None:
        engineer = ("eng@company.com", "ml-engineer")
        (view,) = self.ask("GET", "/api/v1/features/views").json()["feature_views"]
        refs = [f"{view['name']}:{name}" for name in view["features"]]
        for number in range(20):
            wanted = {"entity_ids": [f"customer_{number}"], "feature_refs": refs}
            assert self.ask("POST", "/api/v1/features/retrieve", json=wanted).is_success
        columns = {view["entities"][0]: ["customer_1"], **{name: [1] for name in view["features"]}}
        pushed = self.ask("POST", "/api/v1/features/push", engineer, json={"view": view["name"], "rows": columns})
        assert pushed.is_success, pushed.text
        assert self.ask("POST", "/api/v1/features/materialize", engineer, json={}).is_success

    def break_mlflow(self) -> None:
        """Let a registration meet a registry that is gone: a server error, a failed job, an unanswered part."""
        metadata = {"name": "another", "risk_level": "low", "owner": "ana@company.com"}
        body = {"model_uri": "runs:/0123456789abcdef0123456789abcdef/model", "metadata": metadata}
        os.kill(self.platform.pid("mlflow"), signal.SIGKILL)
        answer = self.ask("POST", "/api/v1/models/register", json=body)
        assert answer.status_code == 503, answer.text


def _query(platform: Platform, expr: str) -> list[Any]:
    answer = httpx.get(f"http://127.0.0.1:{platform.prometheus_port}/api/v1/query", params={"query": expr}, timeout=20)
    assert answer.is_success, f"{expr}: {answer.text}"
    found = answer.json()["data"]["result"]
    return [one for one in found if one["value"][1] != "NaN"]


def _here(expr: str) -> bool:
    return not any(part in expr for part in NEEDS_A_CLUSTER)


def _plain(expr: str) -> str:
    """Fill in a dashboard's variables as 'All' does."""
    return re.sub(r"\$\w+", ".*", expr)


def _selectors(expr: str) -> set[str]:
    """Return the series an expression reads: what it compares may be calm, but it must be there."""
    return {found for name in names_in(expr) for found in re.findall(rf"(?<![\w:]){name}(?:\{{[^}}]*\}})?", expr)}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    platform = Platform(tmp_path_factory.mktemp("live"))
    ports = (
        "--port",
        platform.port,
        "--mlflow-port",
        platform.mlflow_port,
        "--prometheus-port",
        platform.prometheus_port,
    )
    platform.mlops("up", "--detach", *map(str, ports))
    try:
        walk = Walk(platform)
        walk.train()
        eventually(lambda: walk.ask("GET", "/api/v1/models/watched/versions/2").is_success)
        walk.once("1")
        # what is counted before the second walk must be in a scrape, so that the walk is an increase
        _scraped(platform)
        walk.once("2")
        _scraped(platform)
        walk.pages = _alarms(platform, "critical")
        walk.break_mlflow()
        yield walk
    finally:
        platform.mlops("down")


@pytest.fixture
def walked(walk: Walk) -> Platform:
    return walk.platform


def _scraped(platform: Platform) -> None:
    """Wait until every target that answers has been scraped twice from now on."""
    for _ in range(2):
        now = time.time()
        query = f"count(timestamp(up == 1) < {now})"
        eventually(lambda query=query: not _query(platform, query), 60)


def _alarms(platform: Platform, severity: str) -> dict[str, str]:
    """Return the alerts of a severity that fire or are about to, with their state."""
    found = _query(platform, f'ALERTS{{severity="{severity}"}}')
    return {one["metric"]["alertname"]: one["metric"]["alertstate"] for one in found}


def _until_there(platform: Platform, queries: dict[str, str], seconds: float = 120) -> dict[str, str]:
    """Ask until every query has data; return those that have none."""
    missing = dict(queries)

    def all_there() -> bool:
        for name in [name for name, expr in missing.items() if _query(platform, expr)]:
            del missing[name]
        return not missing

    try:
        eventually(all_there, seconds)
    except AssertionError:
        return missing
    return {}


def test_every_panel_that_can_have_data_on_one_machine_has(walked: Platform) -> None:
    queries = {f"{board.title}: {panel.title}: {expr}": _plain(expr) for board, panel, expr in PANELS if _here(expr)}
    assert len(queries) > 100
    assert _until_there(walked, queries) == {}


def test_every_alert_reads_series_that_are_there(walked: Platform) -> None:
    queries = {f"{alert.name}: {found}": found for alert in ALERTS for found in _selectors(alert.expr) if _here(found)}
    assert len(queries) > 40
    assert _until_there(walked, queries) == {}


def test_every_recording_rule_records(walked: Platform) -> None:
    assert _until_there(walked, {name: name for name, _ in RECORDED}) == {}


def test_prometheus_runs_all_shipped_rules_without_failures(walked: Platform) -> None:
    url = f"http://127.0.0.1:{walked.prometheus_port}/api/v1/rules"
    groups = httpx.get(url, timeout=10).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == {alert.name for alert in ALERTS}
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] == "err"} == {}


def test_alerting_works_and_a_healthy_platform_pages_nobody(walk: Walk) -> None:
    assert walk.pages == {}, "nothing was broken yet"


def test_a_part_that_was_away_for_seconds_pages_nobody(walked: Platform) -> None:
    eventually(lambda: walked.ask("GET", "/api/v1/models", *_WHO).is_success)
    _scraped(walked)
    firing = {name for name, state in _alarms(walked, "critical").items() if state == "firing"}
    assert firing == set()
    # and alerting works at all
    assert _query(walked, 'ALERTS{alertname="DeadMansSwitch",alertstate="firing"}')
