"""One definition becomes everything a tenant gets: quotas that add up, paths that are open, and nothing else."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from mlops_platform.tenants import quota as sizes
from mlops_platform.tenants.definition import BadDefinition, Tenant, load, parse
from mlops_platform.tenants.places import Places
from mlops_platform.tenants.quota import PROFILES, quotas
from mlops_platform.tenants.render import manifests, terraform_values, to_yaml
from mlops_platform.tenants.usage import BadQuantity, QuotaStatus, quantity, uses

from ..cli.conftest import Ran

FOLDER = Path(__file__).parents[3] / "kubernetes" / "tenants"
PLACES = Places(endpoint_cidrs=("10.1.0.0/16",))
# the versions EKS has in standard or extended support that the validator has schemas of
SUPPORTED = ("1.33.0", "1.34.0", "1.35.0")
REQUIRED_LABELS = {
    "mlops.io/tenant",
    "mlops.io/tier",
    "mlops.io/data-classification",
    "mlops.io/cost-center",
    "mlops.io/owner-team",
    "mlops.io/slo-tier",
    "mlops.io/compliance-level",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
}


def tenant(**changes: Any) -> Tenant:
    fields = {
        "name": "risk",
        "profile": "small",
        "data_classification": "internal",
        "team": "risk",
        "cost_center": "cc-1",
        "owners": ["lead@company.com"],
        "budget_usd": 100,
        **changes,
    }
    return parse(yaml.safe_dump(fields), "risk.yaml")


def of(kind: str, found: list[dict[str, Any]], namespace: str = "tenant-risk-staging") -> dict[str, dict[str, Any]]:
    return {
        each["metadata"]["name"]: each
        for each in found
        if each["kind"] == kind and each["metadata"].get("namespace") == namespace
    }


# --- the shipped examples


def test_the_shipped_definitions_render_to_the_shipped_files(tmp_path: Path) -> None:
    tenants = load(FOLDER)
    assert [each.name for each in tenants] == ["data-science", "fraud", "recommendations"]
    for each in tenants:
        expected = (FOLDER / "rendered" / f"{each.name}.yaml").read_text()
        assert to_yaml(manifests(each, PLACES)) == expected, (
            "run `mlops tenants render kubernetes/tenants --output kubernetes/tenants/rendered --endpoint-cidr 10.1.0.0/16`"
        )
    values = json.loads((FOLDER / "rendered" / "tenants.auto.tfvars.json").read_text())
    assert values == terraform_values(tenants)
    assert "tenant-fraud-production" in values["tenant_namespaces"]


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_rendered_object_is_valid_in_every_supported_version(version: str) -> None:
    kinds = set()
    for file in sorted((FOLDER / "rendered").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            kubernetes_validate.validate(manifest, version, strict=True)
            kinds.add(manifest["kind"])
    assert kinds == {
        "Namespace",
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "ServiceAccount",
        "Role",
        "RoleBinding",
    }


def test_the_validator_would_have_found_a_mistake() -> None:
    wrong = of("ResourceQuota", manifests(tenant(), PLACES))["tenant"]
    wrong["spec"]["hrad"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, SUPPORTED[0], strict=True)


def test_names_are_unique_and_no_object_leaves_its_namespace() -> None:
    found = manifests(tenant(), PLACES)
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in found]
    assert len(set(keys)) == len(keys)
    assert {each["metadata"].get("namespace") for each in found} == {
        None,
        "tenant-risk-staging",
        "tenant-risk-production",
    }
    # a namespace comes before what is in it
    assert found[0]["kind"] == "Namespace"


# --- labels and security


def test_namespaces_carry_the_required_labels_and_restricted_pod_security() -> None:
    for each in manifests(tenant(), PLACES):
        if each["kind"] == "Namespace":
            labels = each["metadata"]["labels"]
            assert labels.keys() >= REQUIRED_LABELS
            for mode in ("enforce", "audit", "warn"):
                assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert each["metadata"]["annotations"]["mlops.io/monthly-budget-usd"] == "100"


def test_model_servers_carry_no_token_of_the_kubernetes_api() -> None:
    account = of("ServiceAccount", manifests(tenant(), PLACES))["model-server"]
    assert account["automountServiceAccountToken"] is False


# --- quota arithmetic


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("environments", [["staging", "production"], ["production"], ["staging"]])
def test_the_quotas_of_a_tenant_add_up_to_its_profile(profile: str, environments: list[str]) -> None:
    found = quotas(tenant(profile=profile, environments=environments))
    assert list(found) == environments
    assert sum(each.cpu for each in found.values()) == PROFILES[profile].cpu
    assert sum(each.memory_gib for each in found.values()) == PROFILES[profile].memory_gib
    assert sum(each.gpu for each in found.values()) == PROFILES[profile].gpu
    assert sum(each.pods for each in found.values()) <= sizes.PODS


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_may_take_the_defaults_and_the_largest_pod_fits(profile: str) -> None:
    for environment, quota in quotas(tenant(profile=profile)).items():
        hard = {name: quantity(value) for name, value in quota.hard().items()}
        pods = hard["pods"]
        assert pods >= 20, f"{environment} of {profile} holds too little to be of use"
        assert pods * sizes.DEFAULT_CPU <= hard["limits.cpu"]
        assert pods * sizes.DEFAULT_MEMORY_GIB * 1024**3 <= hard["limits.memory"]
        assert pods * Decimal(sizes.DEFAULT_REQUEST_CPU_MILLI) / 1000 <= hard["requests.cpu"]
        assert pods * sizes.DEFAULT_REQUEST_MEMORY_MIB * 1024**2 <= hard["requests.memory"]
        assert hard["limits.cpu"] >= sizes.POD_CPU
        assert hard["limits.memory"] >= sizes.POD_MEMORY_GIB * 1024**3


def test_a_container_is_never_larger_than_its_pod_and_defaults_are_in_order() -> None:
    container, pod = of("LimitRange", manifests(tenant(), PLACES))["tenant"]["spec"]["limits"]
    for resource in ("cpu", "memory"):
        request, default, most = (quantity(container[name][resource]) for name in ("defaultRequest", "default", "max"))
        assert request <= default <= most <= quantity(pod["max"][resource])


# --- who may talk to whom

EVERYWHERE = [
    "kube-system",
    "mlops-platform",
    "mlflow",
    "feast",
    "envoy-gateway-system",
    "monitoring",
    "tenant-risk-staging",
    "tenant-risk-production",
    "tenant-web-staging",
    "default",
]
PORTS = [
    ("TCP", 53),
    ("UDP", 53),
    ("TCP", 80),
    ("TCP", 443),
    ("TCP", 5000),
    ("TCP", 6566),
    ("TCP", 8000),
    ("TCP", 8080),
]


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "NotIn"
        if labels.get(one["key"]) in one["values"]:
            return False
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def _peer(entry: dict[str, Any], own: str, namespace: str, labels: dict[str, str]) -> bool:
    if "ipBlock" in entry:
        return False
    there = (
        _selects(entry["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
        if "namespaceSelector" in entry
        else namespace == own
    )
    return there and _selects(entry.get("podSelector", {}), labels)


def reachable(direction: str, pod: dict[str, str], other: dict[str, str]) -> set[tuple[str, str, int]]:
    """What Kubernetes would allow: (namespace, protocol, port) between a pod of the tenant and pods elsewhere."""
    own = "tenant-risk-staging"
    key = "from" if direction == "Ingress" else "to"
    found = set()
    for each in of("NetworkPolicy", manifests(tenant(), PLACES)).values():
        spec = each["spec"]
        if direction not in spec["policyTypes"] or not _selects(spec["podSelector"], pod):
            continue
        for rule in spec.get(direction.lower(), []):
            ports = [(port["protocol"], port["port"]) for port in rule.get("ports", [])] or PORTS
            found |= {
                (namespace, *port)
                for namespace in EVERYWHERE
                for port in ports
                for peer in rule[key]
                if _peer(peer, own, namespace, other)
            }
    return found


def test_a_predictor_is_reached_by_gateway_platform_and_monitoring_on_its_port_and_by_its_own_namespace() -> None:
    inside = {("tenant-risk-staging", *port) for port in PORTS}
    outside = {(namespace, "TCP", 8080) for namespace in ("envoy-gateway-system", "mlops-platform", "monitoring")}
    assert reachable("Ingress", {"component": "predictor"}, {}) == inside | outside


def test_other_pods_of_a_tenant_are_reached_from_their_own_namespace_only() -> None:
    assert {namespace for namespace, *_ in reachable("Ingress", {"app": "notebook"}, {})} == {"tenant-risk-staging"}


def test_a_tenant_reaches_dns_the_platform_mlflow_feast_and_itself() -> None:
    inside = {("tenant-risk-staging", *port) for port in PORTS}
    services = {("mlops-platform", "TCP", 8000), ("mlops-platform", "TCP", 5000), ("feast", "TCP", 6566)}
    assert reachable("Egress", {"app": "notebook"}, {}) == inside | services
    dns = {("kube-system", "UDP", 53), ("kube-system", "TCP", 53)}
    assert reachable("Egress", {"app": "notebook"}, {"k8s-app": "kube-dns"}) == inside | services | dns


def test_a_predictor_begins_no_conversation_but_for_its_bundle() -> None:
    """Its code may be hostile: the platform, MLflow, features and its own neighbours are not there for it."""
    assert reachable("Egress", {"component": "predictor"}, {}) == set()
    dns = {("kube-system", "UDP", 53), ("kube-system", "TCP", 53)}
    assert reachable("Egress", {"component": "predictor"}, {"k8s-app": "kube-dns"}) == dns


def test_no_tenant_reaches_another_nor_its_own_other_environment() -> None:
    for direction in ("Ingress", "Egress"):
        for pod in ({"component": "predictor"}, {"app": "x"}):
            names = {namespace for namespace, *_ in reachable(direction, pod, {"component": "predictor"})}
            assert not names & {"tenant-web-staging", "tenant-risk-production"}


def test_addresses_outside_the_cluster_are_the_ones_that_were_given() -> None:
    def blocks(places: Places) -> set[tuple[str, int]]:
        return {
            (peer["ipBlock"]["cidr"], port["port"])
            for each in of("NetworkPolicy", manifests(tenant(), places)).values()
            for rule in each["spec"].get("egress", [])
            for peer in rule["to"]
            if "ipBlock" in peer
            for port in rule["ports"]
        }

    assert blocks(PLACES) == {("10.1.0.0/16", 443), ("169.254.170.23/32", 80)}
    assert blocks(Places()) == {("169.254.170.23/32", 80)}


# --- roles


def allows(role: dict[str, Any], verb: str, group: str, resource: str) -> bool:
    return any(
        verb in rule["verbs"] and group in rule["apiGroups"] and resource in rule["resources"] for rule in role["rules"]
    )


def test_nobody_of_a_tenant_changes_what_serves_in_production() -> None:
    staging, production = (
        of("Role", manifests(tenant(), PLACES), f"tenant-risk-{each}") for each in ("staging", "production")
    )
    assert allows(staging["tenant-developer"], "create", "serving.kserve.io", "inferenceservices")
    for name, role in production.items():
        assert allows(role, "create", "serving.kserve.io", "inferenceservices") is (name == "platform-deployer")
        assert not any(
            allows(role, verb, "networking.k8s.io", "networkpolicies")
            for verb in ("create", "update", "patch", "delete")
        )


def test_nobody_reads_secrets_changes_quotas_or_gives_rights() -> None:
    for environment in ("staging", "production"):
        for role in of("Role", manifests(tenant(), PLACES), f"tenant-risk-{environment}").values():
            for rule in role["rules"]:
                assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
                assert not {"secrets", "roles", "rolebindings", "pods/exec"} & set(rule["resources"])
            for verb in ("create", "update", "patch", "delete"):
                assert not allows(role, verb, "", "resourcequotas")


def test_roles_are_bound_to_the_tenants_own_groups() -> None:
    bindings = of("RoleBinding", manifests(tenant(), PLACES))
    groups = {name: binding["subjects"][0]["name"] for name, binding in bindings.items() if name != "platform-deployer"}
    assert groups == {
        "tenant-viewer": "tenant-viewer:risk",
        "tenant-developer": "tenant-developer:risk",
        "tenant-admin": "tenant-admin:risk",
    }
    assert bindings["platform-deployer"]["subjects"] == [
        {"kind": "ServiceAccount", "name": "platform-api", "namespace": "mlops-platform"}
    ]


# --- definitions that are wrong


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "Risk"}, "name"),
        ({"name": "a" * 60}, "name"),
        ({"profile": "huge"}, "profile"),
        ({"budget_usd": 0}, "budget_usd"),
        ({"owners": []}, "owners"),
        ({"owners": ["nobody"]}, "owners"),
        ({"environments": ["moon"]}, "environments"),
        ({"environments": ["staging", "staging"]}, "names one twice"),
        ({"unknown": 1}, "unknown"),
        ({"compliance": "pci", "data_classification": "restricted"}, "dedicated_cluster: true"),
        ({"compliance": "hipaa"}, "data_classification is restricted"),
        ({"team": "a team"}, "team"),
    ],
)
def test_a_wrong_definition_is_refused_with_what_to_correct(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadDefinition, match=sentence) as refused:
        tenant(**changes)
    assert str(refused.value).startswith("risk.yaml: ")


def test_two_tenants_of_one_name_are_refused(tmp_path: Path) -> None:
    text = (FOLDER / "fraud.yaml").read_text()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text)
    with pytest.raises(BadDefinition, match="defined twice: fraud"):
        load(tmp_path)


def test_the_longest_name_still_makes_a_namespace() -> None:
    assert len(tenant(name="a" * 39).namespace("production")) <= 63


# --- usage


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("2Gi", str(2 * 1024**3)),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("1.5Ki", "1536"),
        ("128974848", "128974848"),
    ],
)
def test_quantities_are_read_as_kubernetes_does(text: str, number: str) -> None:
    assert quantity(text) == Decimal(number)


def test_something_else_is_no_quantity() -> None:
    with pytest.raises(BadQuantity):
        quantity("1 Gi")


def test_what_is_above_four_fifths_warns_and_what_is_not_allowed_at_all_does_not() -> None:
    status = QuotaStatus(
        "n",
        "tenant",
        {"pods": "10", "limits.memory": "10Gi", "requests.nvidia.com/gpu": "0"},
        {"pods": "9", "limits.memory": "8Gi"},
    )
    found = {use.resource: use for use in uses([status])}
    assert [found[name].warns for name in ("pods", "limits.memory", "requests.nvidia.com/gpu")] == [True, False, False]
    assert uses([status])[0].resource == "pods"


# --- the command


def test_the_command_writes_files_and_says_what_is_next(mlops: Callable[..., Ran], tmp_path: Path) -> None:
    ran = mlops("tenants", "render", str(FOLDER), "--output", str(tmp_path / "out"), "--endpoint-cidr", "10.1.0.0/16")
    assert ran.code == 0
    assert "next: mlops tenants apply" in ran.out
    for name in ("fraud.yaml", "tenants.auto.tfvars.json"):
        assert (tmp_path / "out" / name).read_text() == (FOLDER / "rendered" / name).read_text()


def test_a_wrong_range_and_a_missing_file_end_with_a_sentence(mlops: Callable[..., Ran]) -> None:
    assert "--endpoint-cidr" in mlops("tenants", "render", str(FOLDER), "--endpoint-cidr", "10.1.0.5/16").err
    assert mlops("tenants", "render", "nowhere.yaml").code == 2


def test_without_a_cluster_the_command_says_how_to_get_one(mlops: Callable[..., Ran], tmp_path: Path) -> None:
    ran = mlops("tenants", "usage", str(FOLDER), KUBECONFIG=str(tmp_path / "none"))
    assert ran.code == 3
    assert "KUBECONFIG" in ran.err
