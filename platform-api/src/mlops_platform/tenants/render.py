"""A tenant's definition as Kubernetes objects. Pure: the same definition and places give the same bytes."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from mlops_platform.tenants import quota as sizes
from mlops_platform.tenants.definition import Environment, Tenant
from mlops_platform.tenants.network import policies
from mlops_platform.tenants.places import Places
from mlops_platform.tenants.roles import PLATFORM, roles

Manifest = dict[str, Any]

_INSIDE = ("app.kubernetes.io/managed-by", "mlops.io/tenant", "mlops.io/environment")
_RBAC = "rbac.authorization.k8s.io"
_HEAD = "# Rendered by `mlops tenants render`; change the definition and render again.\n"


class _Dumper(yaml.SafeDumper):
    """Writes every value in full: anchors are hard to read in a diff."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def manifests(tenant: Tenant, places: Places) -> list[Manifest]:
    """Return every object of a tenant, in the order they can be applied."""
    found: list[Manifest] = []
    for environment, quota in sizes.quotas(tenant).items():
        found += _environment(tenant, environment, quota, places)
    return found


def to_yaml(found: Iterable[Manifest]) -> str:
    """Return objects as one YAML stream."""
    return _HEAD + yaml.dump_all(found, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=140)


def terraform_values(tenants: Iterable[Tenant]) -> dict[str, Any]:
    """Return what Terraform needs: the namespaces whose `model-server` gets an identity in AWS (Pod Identity)."""
    names = [tenant.namespace(environment) for tenant in tenants for environment in sizes.quotas(tenant)]
    return {"tenant_namespaces": sorted(names)}


def _environment(tenant: Tenant, environment: Environment, quota: sizes.Quota, places: Places) -> Iterator[Manifest]:
    namespace = tenant.namespace(environment)
    # the namespace carries what is required of a tenant; inside it, whose an object is will do
    labels = {name: value for name, value in _labels(tenant, environment).items() if name in _INSIDE}

    def named(api: str, kind: str, name: str, **body: Any) -> Manifest:
        return {
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            **body,
        }

    yield _namespace(tenant, namespace, _labels(tenant, environment))
    yield named("v1", "ResourceQuota", "tenant", spec={"hard": quota.hard()})
    yield named("v1", "LimitRange", "tenant", spec={"limits": _limits()})
    for name, spec in policies(places).items():
        yield named("networking.k8s.io/v1", "NetworkPolicy", name, spec=spec)
    # the token for AWS is put in by EKS Pod Identity; the one for the Kubernetes API is nobody's business in here
    yield named("v1", "ServiceAccount", "model-server", automountServiceAccountToken=False)
    for role, rules in roles(environment).items():
        yield named(f"{_RBAC}/v1", "Role", role, rules=rules)
        group = {"apiGroup": _RBAC, "kind": "Group", "name": f"{role}:{tenant.name}"}
        yield named(f"{_RBAC}/v1", "RoleBinding", role, roleRef=_role(role), subjects=[group])
    yield named(f"{_RBAC}/v1", "Role", "platform-deployer", rules=PLATFORM)
    account = {"kind": "ServiceAccount", "name": places.platform_account, "namespace": places.platform}
    yield named(
        f"{_RBAC}/v1", "RoleBinding", "platform-deployer", roleRef=_role("platform-deployer"), subjects=[account]
    )


def _role(name: str) -> dict[str, str]:
    return {"apiGroup": _RBAC, "kind": "Role", "name": name}


def _labels(tenant: Tenant, environment: Environment) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "mlops-tenants",
        "app.kubernetes.io/part-of": "mlops-platform",
        "mlops.io/tenant": tenant.name,
        "mlops.io/environment": environment,
        "mlops.io/tier": tenant.profile,
        "mlops.io/compliance-level": tenant.compliance,
        "mlops.io/data-classification": tenant.data_classification,
        "mlops.io/cost-center": tenant.cost_center,
        "mlops.io/owner-team": tenant.team,
        "mlops.io/slo-tier": tenant.slo_tier,
        # models of a tenant have public names below the gateway's
        "mlops.io/routes": "true",
    }


def _namespace(tenant: Tenant, name: str, labels: dict[str, str]) -> Manifest:
    security = {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", "latest"))
    }
    notes = {"mlops.io/monthly-budget-usd": str(tenant.budget_usd), "mlops.io/owners": ",".join(tenant.owners)}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**labels, **security}, "annotations": notes},
    }


def _limits() -> list[dict[str, Any]]:
    return [
        {
            "type": "Container",
            "default": {"cpu": str(sizes.DEFAULT_CPU), "memory": f"{sizes.DEFAULT_MEMORY_GIB}Gi"},
            "defaultRequest": {
                "cpu": f"{sizes.DEFAULT_REQUEST_CPU_MILLI}m",
                "memory": f"{sizes.DEFAULT_REQUEST_MEMORY_MIB}Mi",
            },
            "max": {"cpu": str(sizes.CONTAINER_CPU), "memory": f"{sizes.CONTAINER_MEMORY_GIB}Gi"},
        },
        {"type": "Pod", "max": {"cpu": str(sizes.POD_CPU), "memory": f"{sizes.POD_MEMORY_GIB}Gi"}},
    ]
