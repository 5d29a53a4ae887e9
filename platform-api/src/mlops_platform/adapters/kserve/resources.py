"""The two kinds of objects the platform owns in a cluster: what is sent, and the little of it that is read back."""

from typing import Any

import msgspec
from lightkube.core.resource import NamespacedResourceG, api_info
from lightkube.generic_resource import create_namespaced_resource

from mlops_platform.adapters.kserve import manifests

Key = tuple[str, str]

InferenceService = create_namespaced_resource(
    manifests.SERVING_GROUP, manifests.SERVING_VERSION, "InferenceService", "inferenceservices"
)
HTTPRoute = create_namespaced_resource(manifests.ROUTE_GROUP, manifests.ROUTE_VERSION, "HTTPRoute", "httproutes")


class Metadata(msgspec.Struct):
    """The metadata of an object that the platform reads."""

    name: str
    namespace: str
    resourceVersion: str  # noqa: N815 - the names of Kubernetes
    labels: dict[str, str] = {}
    deletionTimestamp: str | None = None  # noqa: N815


# lightkube decodes a list straight into these and skips what is not declared: about a tenth of the time of dictionaries
class ListedService(NamespacedResourceG, msgspec.Struct):
    """An InferenceService as the platform lists it; its status is read one by one."""

    metadata: Metadata
    _api_info = api_info(InferenceService)


class ListedRoute(NamespacedResourceG, msgspec.Struct):
    """An HTTPRoute as the platform lists it."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    _api_info = api_info(HTTPRoute)


def key_of(item: ListedService | ListedRoute) -> Key:
    """Return namespace and name."""
    return item.metadata.namespace, item.metadata.name
