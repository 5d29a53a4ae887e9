"""What the platform asks a cluster for, as plain dictionaries, and what a cluster's answer means. Pure.

Every name is a function of what the platform knows, so that asking twice asks for the same thing, and the address of a
revision is known without asking the cluster.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlops_platform.deployments.interfaces import Observed, Placement, RevisionSpec, Routing
from model_server.trust.revocations import LIST

MANAGER = "mlops-platform"
SERVING_GROUP, SERVING_VERSION = "serving.kserve.io", "v1beta1"
ROUTE_GROUP, ROUTE_VERSION = "gateway.networking.k8s.io", "v1"
REVISION, DEPLOYMENT = "mlops.io/revision", "mlops.io/deployment"

_LABEL_LENGTH = 63
# a Service's name is the InferenceService's name and this
_PREDICTOR = "-predictor"
_WEIGHTS = 1_000
_READY_PATH = "/v2/health/ready"
# what the model server ends with when its bundle is not what was approved
_REFUSED = 4
_APPROVAL, _LIBRARIES = "/mnt/approval", "/mnt/libraries"
_RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
# no amount of waiting makes these good
_HOPELESS = frozenset({"RuntimeDisabled", "NoSupportingRuntime", "RuntimeNotRecognized", "InvalidPredictorSpec"})


@dataclass(frozen=True)
class ClusterPlace:
    """Where and with what the cluster serves, from the settings."""

    image: str
    namespace_template: str = "tenant-{tenant}-{environment}"
    runtime: str = "model-server"
    service_account: str = "model-server"
    gateway: str = "models"
    gateway_namespace: str = "gateway"
    domain: str = "models.internal"
    replicas_factor: int = 2
    request_timeout_seconds: int = 30


def namespace(place: ClusterPlace, tenant: str, environment: str) -> str:
    """Return the namespace of a tenant in an environment; two tenants never share one."""
    return _name(place.namespace_template.format(tenant=_part(tenant, 40), environment=environment))


def service_name(revision_id: str, model_name: str) -> str:
    """Return the InferenceService's name: short, readable, unique to the revision."""
    return f"{_part(model_name, 30, always=False)}-{_short(revision_id)}"


def address(place: ClusterPlace, placement: Placement) -> str:
    """Return the URL of a revision's Service inside the cluster."""
    name = service_name(placement.revision_id, placement.model_name)
    return _url(name, namespace(place, placement.tenant, placement.environment))


def _url(name: str, where: str) -> str:
    return f"http://{name}{_PREDICTOR}.{where}.svc.cluster.local"


def inference_service(place: ClusterPlace, spec: RevisionSpec) -> dict[str, Any]:
    """Return the InferenceService of one revision: a fixed artifact, image and approval."""
    resources = spec.resources or {"cpu": "500m", "memory": "1Gi"}
    # ours last: no setting of a model may name another artifact, statement or key as the approved one, or open its sandbox
    environment = {
        **spec.environment_vars,
        "MODEL_SERVER_DIGEST": spec.digest,
        "MODEL_SERVER_STATEMENT": spec.statement,
        "MODEL_SERVER_PUBLIC_KEYS": spec.public_keys,
        "MODEL_SERVER_APPROVAL_FOLDER": _APPROVAL,
        "MODEL_SERVER_LIBRARIES_FOLDER": _LIBRARIES,
        "MODEL_SERVER_SANDBOX": "required" if spec.environment == "production" else "best-effort",
    }
    return {
        "apiVersion": f"{SERVING_GROUP}/{SERVING_VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(spec.revision_id, spec.model_name),
            "namespace": namespace(place, spec.tenant, spec.environment),
            "labels": {
                **_labels(spec.model_name, spec.tenant, spec.environment),
                REVISION: spec.revision_id,
                "mlops.io/version": str(spec.version),
                # revisions are reached inside the cluster; the deployment's one route is the door from outside
                "networking.kserve.io/visibility": "cluster-local",
            },
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "mlops.io/model-name": spec.model_name,
                "mlops.io/artifact-digest": spec.digest,
                "mlops.io/approval-id": spec.approval_id or "not-required",
            },
        },
        "spec": {
            "predictor": {
                "minReplicas": spec.replicas,
                "maxReplicas": spec.replicas * place.replicas_factor,
                "serviceAccountName": place.service_account,
                # a model has nothing to say to the cluster's API
                "automountServiceAccountToken": False,
                "timeout": place.request_timeout_seconds,
                "labels": {
                    **_labels(spec.model_name, spec.tenant, spec.environment),
                    REVISION: spec.revision_id,
                    "model_name": _part(spec.model_name, _LABEL_LENGTH, always=False),
                },
                "annotations": {
                    "mlops.io/artifact-digest": spec.digest,
                    "mlops.io/approval-id": spec.approval_id or "not-required",
                },
                # the first list is there before the model is loaded; then it is fetched every minute
                "initContainers": [_fetcher(place, spec)],
                "volumes": [
                    {"name": "approval", "emptyDir": {"sizeLimit": "16Mi"}},
                    # empty unless the model has libraries of its own; torch's CPU build unpacks to 1 GiB
                    {"name": "libraries", "emptyDir": {"sizeLimit": "16Gi"}},
                ],
                "model": {
                    "modelFormat": {"name": "mlops-bundle", "version": "1"},
                    "runtime": place.runtime,
                    "protocolVersion": "v2",
                    "image": place.image,
                    "storageUri": spec.bundle,
                    "resources": {"requests": dict(resources), "limits": dict(resources)},
                    "env": _variables(environment),
                    "volumeMounts": [
                        {"name": "approval", "mountPath": _APPROVAL, "readOnly": True},
                        {"name": "libraries", "mountPath": _LIBRARIES, "readOnly": True},
                    ],
                    "readinessProbe": {"httpGet": {"path": _READY_PATH, "port": 8080}, "periodSeconds": 5},
                },
            }
        },
    }


def _fetcher(place: ClusterPlace, spec: RevisionSpec) -> dict[str, Any]:
    """The container that fetches statement, libraries and the list of withdrawn approvals: the model's own opens no connection."""
    # a core while libraries are unpacked
    resources = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"cpu": "1", "memory": "192Mi"}}
    return {
        "name": "approvals",
        "image": place.image,
        "command": ["python", "-m", "model_server.fetch", "--into", _APPROVAL],
        # goes on beside the model's container, which starts once the list is there
        "restartPolicy": "Always",
        "startupProbe": {
            "exec": {"command": ["test", "-s", f"{_APPROVAL}/{LIST}"]},
            "periodSeconds": 2,
            "failureThreshold": 150,
        },
        "env": _variables(
            {
                "MODEL_SERVER_STATEMENT": spec.statement,
                "MODEL_SERVER_PUBLIC_KEYS": spec.public_keys,
                "MODEL_SERVER_STATEMENT_URI": spec.statement_uri,
                "MODEL_SERVER_REVOCATIONS_URI": spec.revocations_uri,
                "MODEL_SERVER_BUNDLE_URI": spec.bundle,
                "MODEL_SERVER_LIBRARIES_URI": spec.libraries_uri,
                "MODEL_SERVER_LIBRARIES_FOLDER": _LIBRARIES,
            }
        ),
        "resources": resources,
        "securityContext": _RESTRICTED,
        "volumeMounts": [
            {"name": "approval", "mountPath": _APPROVAL},
            {"name": "libraries", "mountPath": _LIBRARIES},
        ],
    }


def _variables(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def http_route(place: ClusterPlace, routing: Routing) -> dict[str, Any]:
    """Return the HTTPRoute of one deployment: its revisions weighted by their shares of traffic."""
    weights = weights_of(routing.shares)
    return {
        "apiVersion": f"{ROUTE_GROUP}/{ROUTE_VERSION}",
        "kind": "HTTPRoute",
        "metadata": {
            "name": route_name(routing),
            "namespace": namespace(place, routing.tenant, routing.environment),
            "labels": {
                **_labels(routing.model_name, routing.tenant, routing.environment),
                DEPLOYMENT: routing.deployment_id,
            },
        },
        "spec": {
            "parentRefs": [{"name": place.gateway, "namespace": place.gateway_namespace}],
            "hostnames": [f"{route_name(routing)}.{place.domain}"],
            "rules": [
                {
                    "backendRefs": [
                        {
                            "name": f"{service_name(revision_id, routing.model_name)}{_PREDICTOR}",
                            "port": 80,
                            "weight": weight,
                        }
                        for revision_id, weight in weights
                    ],
                    "timeouts": {"request": f"{place.request_timeout_seconds}s"},
                }
            ],
        },
    }


def route_name(routing: Routing) -> str:
    """Return the route's name, which is also the first label of its host name: one per deployment."""
    return f"{_part(routing.model_name, 40, always=False)}-{_short(routing.deployment_id)}"


def weights_of(shares: tuple[tuple[str, float], ...]) -> list[tuple[str, int]]:
    """Return whole weights that add up to 1000, in a fixed order; what rounding leaves goes to the largest share."""
    ordered = sorted(shares)
    weights = [round(share * _WEIGHTS) for _, share in ordered]
    largest = max(range(len(ordered)), key=lambda index: ordered[index][1])
    weights[largest] += _WEIGHTS - sum(weights)
    return [(revision_id, weight) for (revision_id, _), weight in zip(ordered, weights, strict=True)]


def holds(found: Any, order: Any) -> bool:
    """Say whether an object has everything an order asks for; what else it has, servers and people have added."""
    if isinstance(order, dict):
        return isinstance(found, dict) and all(
            name in found and holds(found[name], part) for name, part in order.items()
        )
    if isinstance(order, list):
        return isinstance(found, list) and len(found) == len(order) and all(map(holds, found, order))
    return bool(found == order)


def read_status(found: dict[str, Any], at: datetime, patience: timedelta) -> Observed:
    """Say what the cluster's controller wrote: ready, still coming, or beyond waiting.

    A status of an earlier generation says nothing about this one. A model that its server refused, or a specification
    that KServe cannot run, has failed; anything else may still come up, until patience ends.
    """
    metadata, status = found["metadata"], found.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    model = status.get("modelStatus", {})
    copies = model.get("copies", {})
    replicas = max(0, copies.get("totalCopies", 0) - copies.get("failedCopies", 0))
    url = _url(metadata["name"], metadata["namespace"])

    def seen(message: str, *, ready: bool = False, failed: bool = False) -> Observed:
        return Observed(ready=ready, failed=failed, message=message, address=url, replicas=replicas)

    if status.get("observedGeneration", 0) < metadata.get("generation", 1):
        return seen("waiting for KServe to see the order")
    if conditions.get("Ready", {}).get("status") == "True":
        return seen("answers", ready=True)
    failure = model.get("lastFailureInfo", {})
    message = _why(conditions, failure)
    invalid = model.get("transitionStatus") == "InvalidSpec" or failure.get("reason") in _HOPELESS
    if invalid or failure.get("exitCode") == _REFUSED:
        return seen(message, failed=True)
    began = datetime.fromisoformat(metadata["creationTimestamp"])
    if at - began > patience:
        return seen(f"not ready after {patience.total_seconds():.0f} s: {message}", failed=True)
    return seen(message)


def _why(conditions: dict[str, dict[str, Any]], failure: dict[str, Any]) -> str:
    if failure.get("message") or failure.get("reason"):
        return f"{failure.get('reason', 'failed')}: {failure.get('message', '')}".rstrip(": ")[:500]
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        condition = conditions.get(kind, {})
        if condition.get("status") != "True" and (condition.get("message") or condition.get("reason")):
            return f"{kind}: {condition.get('message') or condition['reason']}"[:500]
    return "waiting for the model to load"


def _labels(model_name: str, tenant: str, environment: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/name": "model-server",
        "mlops.io/model": _part(model_name, _LABEL_LENGTH, always=False),
        "mlops.io/tenant": _part(tenant, 40),
        "mlops.io/environment": environment,
    }


def _part(text: str, length: int, *, always: bool = True) -> str:
    """Return text as part of a DNS label. What does not fit as it is gets a hash, so that two texts stay two names.

    With `always` off the hash is left out: another part of the name tells them apart.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not plain or not plain[0].isalpha():
        plain = f"m-{plain}".strip("-")
    if always and (plain != text or len(plain) > length):
        return f"{plain[: length - 9].rstrip('-')}-{_short(text)[:8]}"
    return plain[:length].rstrip("-")


def _name(text: str) -> str:
    return text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 11].rstrip('-')}-{_short(text)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
