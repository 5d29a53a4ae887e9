"""Who may talk to a tenant's pods and whom they may talk to: nobody, and then these few paths. Pure.

Policies only add up. Another tenant's namespace is named by none of them, so no tenant reaches another.
"""

from typing import Any

from mlops_platform.tenants.places import Places

Rule = dict[str, Any]


def policies(places: Places) -> dict[str, dict[str, Any]]:
    """Return the spec of each NetworkPolicy by name."""
    label, value = places.predictor_label
    predictors = {"matchLabels": {label: value}}
    # a model's pod fetches its bundle and answers: it begins no conversation with the platform or with its neighbours
    people = {"matchExpressions": [{"key": label, "operator": "NotIn", "values": [value]}]}
    found: dict[str, dict[str, Any]] = {
        "default-deny": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "allow-dns": _egress(
            [{"to": [_pods("kube-system", {"k8s-app": "kube-dns"})], "ports": [_port(53, "UDP"), _port(53, "TCP")]}]
        ),
        "allow-inside": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
        "allow-inside-from-people": _egress([{"to": [{"podSelector": {}}]}], people),
        "allow-predictions": {
            "podSelector": predictors,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [_in(places.gateway), _in(places.platform)], "ports": [_port(places.predictor_port)]}],
        },
        "allow-scraping": {
            "podSelector": predictors,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [_in(places.monitoring)], "ports": [_port(places.predictor_port)]}],
        },
        "allow-platform": _egress(
            [
                {"to": [_in(places.platform)], "ports": [_port(places.platform_port)]},
                {"to": [_in(places.mlflow)], "ports": [_port(places.mlflow_port)]},
                {"to": [_in(places.feast)], "ports": [_port(places.feast_port)]},
            ],
            people,
        ),
        "allow-identity": _egress([{"to": [{"ipBlock": {"cidr": places.identity_agent}}], "ports": [_port(80)]}]),
    }
    if places.endpoint_cidrs:
        blocks = [{"ipBlock": {"cidr": cidr}} for cidr in places.endpoint_cidrs]
        found["allow-aws-endpoints"] = _egress([{"to": blocks, "ports": [_port(443)]}])
    return found


def _egress(rules: list[Rule], of: Rule | None = None) -> dict[str, Any]:
    return {"podSelector": of or {}, "policyTypes": ["Egress"], "egress": rules}


def _in(namespace: str) -> Rule:
    # the one label that Kubernetes itself sets: nobody can take another namespace's name
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def _pods(namespace: str, labels: dict[str, str]) -> Rule:
    return {**_in(namespace), "podSelector": {"matchLabels": labels}}


def _port(number: int, protocol: str = "TCP") -> Rule:
    return {"port": number, "protocol": protocol}
