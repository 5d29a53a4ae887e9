"""Who can talk to whom: NetworkPolicies evaluated as Kubernetes does, for pods and addresses given as labels. Pure."""

import ipaddress
from dataclasses import dataclass
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod by what policies look at."""

    namespace: str
    labels: dict[str, str]
    namespace_labels: dict[str, str]


def matches(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Return whether a label selector chooses these labels; an empty one chooses everything."""
    if not selector:
        return True
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions", []))


def _expression(one: dict[str, Any], labels: dict[str, str]) -> bool:
    match one["operator"]:
        case "In":
            return labels.get(one["key"]) in one["values"]
        case "NotIn":
            return labels.get(one["key"]) not in one["values"]
        case "Exists":
            return one["key"] in labels
        case "DoesNotExist":
            return one["key"] not in labels
    raise ValueError(f"there is no selector operator {one['operator']}")


def allowed(policies: list[Policy], source: Pod | str, target: Pod | str, port: int, protocol: str = "TCP") -> bool:
    """Return whether a connection is let out of its source and into its target; an address is outside every policy."""
    out = not isinstance(source, Pod) or _side(policies, "Egress", source, target, port, protocol)
    return out and (not isinstance(target, Pod) or _side(policies, "Ingress", target, source, port, protocol))


def _side(policies: list[Policy], direction: str, pod: Pod, peer: Pod | str, port: int, protocol: str) -> bool:
    mine = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], pod.labels)
    ]
    key, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    return not mine or any(
        _ports(rule.get("ports"), port, protocol) and _peers(rule.get(peers), peer, policy["metadata"]["namespace"])
        for policy in mine
        for rule in policy["spec"].get(key, [])
    )


def _ports(ports: list[dict[str, Any]] | None, port: int, protocol: str) -> bool:
    return not ports or any(one["port"] == port and one.get("protocol", "TCP") == protocol for one in ports)


def _peers(peers: list[dict[str, Any]] | None, peer: Pod | str, namespace: str) -> bool:
    return not peers or any(_peer(one, peer, namespace) for one in peers)


def _peer(one: dict[str, Any], peer: Pod | str, namespace: str) -> bool:
    if "ipBlock" in one:
        if isinstance(peer, Pod):
            return False
        address = ipaddress.ip_address(peer)
        block = one["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(hole) for hole in block.get("except", [])
        )
    if isinstance(peer, str):
        return False
    if "namespaceSelector" in one:
        return matches(one["namespaceSelector"], peer.namespace_labels) and matches(one.get("podSelector"), peer.labels)
    return peer.namespace == namespace and matches(one["podSelector"], peer.labels)
