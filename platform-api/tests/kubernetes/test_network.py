"""Who can talk to whom, computed from the shipped policies and compared with the table of allowed paths."""

import itertools

import pytest

from .manifests import ENVIRONMENTS, objects, of, templates
from .reachability import Pod, allowed

pytestmark = [pytest.mark.external("kubectl"), pytest.mark.parametrize("environment", ENVIRONMENTS)]


def _pod(namespace: str, **labels: str) -> Pod:
    return Pod(namespace, labels, {"kubernetes.io/metadata.name": namespace})


# what lives beside ours: their own policies are others' work, so only our side of each path is judged
OUTSIDE = {
    "gateway": _pod("envoy-gateway-system"),
    "prometheus": _pod("monitoring"),
    "dns": Pod("kube-system", {"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}),
    "tenant": Pod(
        "tenant-fraud",
        {"component": "predictor"},
        {"kubernetes.io/metadata.name": "tenant-fraud", "mlops.io/tenant": "fraud"},
    ),
    "tenant without predictor": Pod(
        "tenant-fraud", {}, {"kubernetes.io/metadata.name": "tenant-fraud", "mlops.io/tenant": "fraud"}
    ),
    "stranger": _pod("default", app="mlflow-server"),
}
PORTS = {
    "mlflow-server": 5000,
    "mlflow-door": 5000,
    "platform-api": 8000,
    "platform-data-plane": 8000,
    "platform-worker": 9100,
    "mlflow-postgres": 5432,
}

# tenant -> Platform API and the door of MLflow, never MLflow itself; gateway -> services; and what the services themselves need
INWARD = {
    *itertools.product(
        ["gateway", "prometheus", "tenant", "tenant without predictor"],
        ["platform-api", "platform-data-plane"],
    ),
    *itertools.product(["gateway", "tenant", "tenant without predictor"], ["mlflow-door"]),
    ("prometheus", "mlflow-server"),
    ("prometheus", "platform-worker"),
}
PLATFORM = ["platform-api", "platform-data-plane", "platform-worker"]
INSIDE = {
    *((one, "mlflow-server") for one in (*PLATFORM, "mlflow-door")),
    *((one, "mlflow-postgres") for one in ("mlflow-server", "mlflow-migrate", "mlflow-backup")),
}


def _ours(environment: str) -> tuple[list[dict], dict[str, Pod]]:  # type: ignore[type-arg]
    found = [*objects("mlflow", environment), *objects("platform", environment)]
    pods = {}
    for one, pod in templates(found):
        namespace = one["metadata"]["namespace"]
        pods[pod["metadata"]["labels"]["app"]] = Pod(
            namespace, pod["metadata"]["labels"], {"kubernetes.io/metadata.name": namespace}
        )
    return of(found, "NetworkPolicy"), pods


def test_only_the_allowed_paths_lead_in(environment: str) -> None:
    policies, pods = _ours(environment)
    open_paths = {
        (source, target)
        for source, target in itertools.product(OUTSIDE, PORTS)
        if target in pods and allowed(policies, OUTSIDE[source], pods[target], PORTS[target])
    }
    assert open_paths == INWARD


def test_only_the_allowed_paths_lead_between_our_own_pods(environment: str) -> None:
    policies, pods = _ours(environment)
    open_paths = {
        (source, target)
        for source, target in itertools.product(pods, PORTS)
        if target in pods and allowed(policies, pods[source], pods[target], PORTS[target])
    }
    assert open_paths == {(source, target) for source, target in INSIDE if source in pods and target in pods}


def test_no_port_but_the_named_one_is_open(environment: str) -> None:
    policies, pods = _ours(environment)
    for source, target in itertools.product({**OUTSIDE, **pods}.values(), pods.values()):
        assert not allowed(policies, source, target, 22)


def test_every_pod_asks_dns_over_udp_and_tcp(environment: str) -> None:
    policies, pods = _ours(environment)
    for pod in pods.values():
        assert all(allowed(policies, pod, OUTSIDE["dns"], 53, protocol) for protocol in ("UDP", "TCP"))


def test_predictors_of_tenants_are_reached_by_the_platform_only_at_their_port(environment: str) -> None:
    policies, pods = _ours(environment)
    for one in PLATFORM:
        assert allowed(policies, pods[one], OUTSIDE["tenant"], 8080)
        assert not allowed(policies, pods[one], OUTSIDE["tenant"], 5000)
        assert not allowed(policies, pods[one], OUTSIDE["tenant without predictor"], 8080)


def test_metadata_of_nodes_is_out_of_reach_and_pod_identity_is_not(environment: str) -> None:
    policies, pods = _ours(environment)
    for one, pod in pods.items():
        assert not allowed(policies, pod, "169.254.169.254", 80), one
        assert not allowed(policies, pod, "93.184.216.34", 80), one
    for one in ("mlflow-server", *PLATFORM):
        assert allowed(policies, pods[one], "169.254.170.23", 80)
        assert allowed(policies, pods[one], "52.216.0.1", 443)
    assert not allowed(policies, pods["platform-migrate"], "52.216.0.1", 443)
