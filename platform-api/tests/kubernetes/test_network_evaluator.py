"""The evaluator that judges our policies says what Kubernetes says."""

from .reachability import Pod, allowed, matches

HERE = {"kubernetes.io/metadata.name": "here"}
THERE = {"kubernetes.io/metadata.name": "there"}
A, B, OTHER = Pod("here", {"app": "a"}, HERE), Pod("here", {"app": "b"}, HERE), Pod("there", {"app": "b"}, THERE)


def _policy(**spec: object) -> dict[str, object]:
    return {"metadata": {"namespace": "here"}, "spec": {"podSelector": {}, **spec}}


def test_pods_no_policy_chooses_are_open() -> None:
    assert allowed([], A, B, 80)
    assert allowed([_policy(policyTypes=["Ingress"])], A, OTHER, 80)


def test_a_policy_without_rules_closes_its_direction_only() -> None:
    closed = [_policy(policyTypes=["Ingress"])]
    assert not allowed(closed, OTHER, B, 80)
    assert allowed(closed, B, OTHER, 80)


def test_both_ends_must_agree() -> None:
    into = _policy(policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}])
    assert allowed([into], A, B, 80)
    assert not allowed([into, _policy(policyTypes=["Egress"])], A, B, 80)


def test_a_pod_selector_alone_means_the_same_namespace() -> None:
    rule = _policy(policyTypes=["Ingress"], ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "b"}}}]}])
    assert allowed([rule], B, A, 80)
    assert not allowed([rule], OTHER, A, 80)


def test_selectors_of_one_peer_are_joined_by_and() -> None:
    peer = {"namespaceSelector": {"matchLabels": THERE}, "podSelector": {"matchLabels": {"app": "a"}}}
    assert not allowed([_policy(policyTypes=["Ingress"], ingress=[{"from": [peer]}])], OTHER, A, 80)


def test_ports_and_protocols_are_part_of_a_rule() -> None:
    rule = _policy(policyTypes=["Ingress"], ingress=[{"ports": [{"port": 53, "protocol": "UDP"}]}])
    assert allowed([rule], OTHER, A, 53, "UDP")
    assert not allowed([rule], OTHER, A, 53, "TCP")


def test_holes_of_address_blocks_stay_closed() -> None:
    block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    rule = _policy(policyTypes=["Egress"], egress=[{"to": [block]}])
    assert allowed([rule], A, "52.0.0.1", 443)
    assert not allowed([rule], A, "10.1.2.3", 443)
    assert not allowed([rule], A, OTHER, 443)


def test_selector_operators() -> None:
    def one(operator: str, *values: str) -> dict[str, object]:
        return {"matchExpressions": [{"key": "k", "operator": operator, "values": list(values)}]}

    assert matches(one("In", "x"), {"k": "x"})
    assert matches(one("NotIn", "x"), {"k": "y"})
    assert matches(one("NotIn", "x"), {})
    assert matches(one("Exists"), {"k": ""})
    assert not matches(one("DoesNotExist"), {"k": ""})
