"""What people of a tenant may do in its namespaces, and what the platform may. Pure.

In production nobody of the tenant changes what serves: models get there through the platform, which asks for approval.
Nobody reads secrets; the external-secrets operator writes them.
"""

from typing import Any

from mlops_platform.tenants.definition import Environment

READ = ["get", "list", "watch"]
WRITE = ["create", "update", "patch", "delete"]

_LOOK = [
    {
        "apiGroups": [""],
        "resources": [
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "pods/log",
            "resourcequotas",
            "services",
        ],
        "verbs": READ,
    },
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": READ},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": READ},
    {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": READ},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": READ},
    {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": READ},
]
_DEVELOP = [
    {"apiGroups": [""], "resources": ["configmaps", "persistentvolumeclaims"], "verbs": WRITE},
    {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create"]},
    {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": WRITE},
    {"apiGroups": ["external-secrets.io"], "resources": ["externalsecrets"], "verbs": [*READ, *WRITE]},
]
_SERVE = [{"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": WRITE}]
_NETWORK = [{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": WRITE}]
# a stuck job or pod is ended by hand; what starts again in its place is what was approved
_REPAIR = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}]

PLATFORM = [
    {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": [*READ, *WRITE]},
    {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": [*READ, *WRITE]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": READ},
    {"apiGroups": [""], "resources": ["events", "pods", "resourcequotas", "services"], "verbs": READ},
]


def roles(environment: Environment) -> dict[str, list[dict[str, Any]]]:
    """Return the rules of each of the tenant's roles in an environment."""
    if environment == "production":
        return {"tenant-viewer": _LOOK, "tenant-developer": _LOOK, "tenant-admin": [*_LOOK, *_REPAIR]}
    developer = [*_LOOK, *_DEVELOP, *_SERVE]
    return {"tenant-viewer": _LOOK, "tenant-developer": developer, "tenant-admin": [*developer, *_REPAIR, *_NETWORK]}
