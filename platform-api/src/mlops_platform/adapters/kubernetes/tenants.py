"""Tenants in a Kubernetes cluster, by server-side apply: what others set on the same objects stays theirs."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import httpx2
from lightkube import ApiError, Client, KubeConfig
from lightkube.codecs import from_dict
from lightkube.core.exceptions import ConfigError
from lightkube.resources.core_v1 import ResourceQuota

from mlops_platform.tenants.interfaces import ClusterRefused, ClusterUnavailable, ObjectRefused, TenantCluster
from mlops_platform.tenants.usage import QuotaStatus

FIELD_MANAGER = "mlops-tenants"
_PATIENCE_SECONDS = 10.0
_ATTEMPTS = 4
_PAUSE_SECONDS = 0.5
_BUSY = frozenset({429, 500, 502, 503, 504})
_NOT_FOUND = 404

Answer = TypeVar("Answer")


class KubernetesTenants(TenantCluster):
    """One cluster: the one the kubeconfig (or the pod's own service account) names."""

    def __init__(self, config: KubeConfig | None = None, pause: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._pause = pause
        self._client: Client | None = None

    def apply(self, manifest: dict[str, Any]) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self._ask(
            # a tenant's objects are ours: a field somebody changed by hand is put back
            lambda client: client.apply(from_dict(manifest), field_manager=FIELD_MANAGER, force=True),
            f"{kind} {name}",
        )

    def quotas(self, namespaces: Sequence[str]) -> list[QuotaStatus]:
        found: list[QuotaStatus] = []
        for namespace in namespaces:
            listed = self._ask(partial(_listed, namespace), f"quotas of {namespace}")
            for quota in listed:
                status = quota.status
                if status is not None and quota.metadata is not None:
                    found.append(
                        QuotaStatus(namespace, quota.metadata.name or "", status.hard or {}, status.used or {})
                    )
        return found

    def _ask(self, question: Callable[[Client], Answer], about: str) -> Answer:
        """Return the answer; a busy or unreachable server is asked again, with growing pauses."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return question(self._connected())
            except httpx2.HTTPStatusError as error:
                # the library makes an ApiError of it only when the answer is plain JSON; a server that sheds load, or a
                # proxy before it, answers in text
                status = error.response.status_code
                if status not in _BUSY:
                    raise _refusal(status, about, error) from error
                if attempt == _ATTEMPTS:
                    raise ClusterUnavailable(
                        f"The cluster answers {status} to {about}; what was applied before stays, apply again.",
                        retry_after=5,
                    ) from error
            except httpx2.HTTPError as error:
                if attempt == _ATTEMPTS:
                    raise ClusterUnavailable(
                        f"The cluster does not answer ({about}); check the kubeconfig and the network.", retry_after=5
                    ) from error
            self._pause(_PAUSE_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _connected(self) -> Client:
        if self._client is None:
            try:
                config = self._config or KubeConfig.from_env()
                self._client = Client(config=config, timeout=httpx2.Timeout(_PATIENCE_SECONDS))
            except ConfigError as error:
                raise ClusterUnavailable(
                    "There is no cluster to talk to: set KUBECONFIG (`aws eks update-kubeconfig --name CLUSTER` writes one)."
                ) from error
        return self._client


def _listed(namespace: str, client: Client) -> list[ResourceQuota]:
    return list(client.list(ResourceQuota, namespace=namespace))


def _refusal(status: int, about: str, error: httpx2.HTTPStatusError) -> Exception:
    said = (error.status.message if isinstance(error, ApiError) else error.response.text[:300]) or "no reason given"
    if status in (401, 403):
        return ClusterRefused(f"The cluster does not allow {about} to you: {said}")
    if status == _NOT_FOUND:
        return ObjectRefused(f"The cluster does not know where to put {about}: {said}")
    return ObjectRefused(f"The cluster does not take {about} ({status}): {said}")
