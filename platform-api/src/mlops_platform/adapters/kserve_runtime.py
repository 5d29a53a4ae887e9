"""Models on Kubernetes: KServe runs them, Gateway API shares the traffic. Orders are server-side applies.

Nothing is kept here that the cluster does not know: a worker that is killed anywhere leaves an order that the next one
repeats without effect.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource

from mlops_platform.adapters import kserve_manifests as manifests
from mlops_platform.adapters.kserve_manifests import DEPLOYMENT, MANAGER, REVISION, ClusterPlace
from mlops_platform.deployments.interfaces import (
    Observed,
    Placement,
    RevisionSpec,
    Routing,
    RuntimeConflict,
    RuntimeUnavailable,
    ServingRuntime,
)
from mlops_platform.kit.clock import now

InferenceService = create_namespaced_resource(
    manifests.SERVING_GROUP, manifests.SERVING_VERSION, "InferenceService", "inferenceservices"
)
HTTPRoute = create_namespaced_resource(manifests.ROUTE_GROUP, manifests.ROUTE_VERSION, "HTTPRoute", "httproutes")

_ALL = "*"
_PAGE = 500
_MANAGED = {"app.kubernetes.io/managed-by": MANAGER}
# the reconciler asks twice a second; a list of everything need not be that fresh
_LIST_SECONDS = 5.0
_BAD, _UNKNOWN, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE, _INVALID = 400, 401, 403, 404, 409, 410, 422
# these concern one deployment; whatever else goes wrong concerns the cluster
_REFUSALS = {
    _FORBIDDEN: "The cluster does not allow the platform's service account to do this; check its roles and the tenant's namespace.",
    _NOT_FOUND: "The cluster has no such namespace or resource kind; check that the tenant is set up and KServe is installed.",
}


class KServeRuntime(ServingRuntime):
    """One InferenceService per revision, one HTTPRoute per deployment."""

    def __init__(
        self,
        place: ClusterPlace,
        *,
        config: KubeConfig | None = None,
        timeout_seconds: float = 10,
        patience_seconds: float = 900,
        list_seconds: float = _LIST_SECONDS,
    ) -> None:
        self._place = place
        self._config = config
        self._timeout = httpx2.Timeout(timeout_seconds)
        self._patience = timedelta(seconds=patience_seconds)
        self._list_seconds = list_seconds
        self._client: AsyncClient | None = None
        self._listed: tuple[float, set[str]] | None = None

    async def apply(self, spec: RevisionSpec) -> None:
        self._listed = None
        async with self._orders() as client:
            # not forced: what a person changed by hand is reported, not fought over
            await client.apply(InferenceService(**manifests.inference_service(self._place, spec)))

    async def observe(self, revision_id: str) -> Observed:
        found = await self._list(InferenceService, {REVISION: revision_id})
        if not found:
            return Observed(ready=False, failed=False, message="not asked for yet")
        return manifests.read_status(found[0], now(), self._patience)

    async def remove(self, revision_id: str) -> None:
        self._listed = None
        await self._delete(InferenceService, {REVISION: revision_id})

    async def route(self, routing: Routing) -> None:
        if not routing.shares:
            await self._delete(HTTPRoute, {DEPLOYMENT: routing.deployment_id})
            return
        async with self._orders() as client:
            # forced: a rollback must win over whoever touched the weights
            await client.apply(HTTPRoute(**manifests.http_route(self._place, routing)), force=True)

    def address(self, placement: Placement) -> str | None:
        return manifests.address(self._place, placement)

    async def known(self) -> set[str]:
        if self._listed is None or time.monotonic() - self._listed[0] > self._list_seconds:
            found = await self._list(InferenceService, {})
            self._listed = (time.monotonic(), {item["metadata"]["labels"][REVISION] for item in found})
        return set(self._listed[1])

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _delete(self, kind: Any, labels: dict[str, str]) -> None:
        for item in await self._list(kind, labels):
            async with self._orders() as client:
                try:
                    await client.delete(kind, item["metadata"]["name"], namespace=item["metadata"]["namespace"])
                except ApiError as error:
                    if error.status.code != _NOT_FOUND:
                        raise

    async def _list(self, kind: Any, labels: dict[str, str]) -> list[dict[str, Any]]:
        """Return the platform's objects in all namespaces; a list that expired between two pages is begun again."""
        async with self._orders() as client:
            for again in (True, False):
                try:
                    pages = client.list(kind, namespace=_ALL, labels={**_MANAGED, **labels}, chunk_size=_PAGE)
                    return [dict(item) async for item in pages]
                except ApiError as error:
                    if error.status.code != _GONE or not again:
                        raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _orders(self) -> AsyncIterator[AsyncClient]:
        """Give the client; what goes wrong with it leaves as a situation of the platform."""
        try:
            if self._client is None:
                self._client = AsyncClient(self._config, timeout=self._timeout, field_manager=MANAGER)
            yield self._client
        except ApiError as error:
            raise _situation(error) from error
        except ConfigError as error:
            raise RuntimeUnavailable(
                "There is no cluster to serve in: neither a service account nor a kubeconfig was found.", retry_after=30
            ) from error
        except httpx2.HTTPStatusError as error:
            raise _status(error.response, error.response.status_code) from error
        except httpx2.HTTPError as error:
            raise RuntimeUnavailable("The cluster's API server does not answer.", retry_after=5) from error


def _situation(error: ApiError) -> RuntimeUnavailable | RuntimeConflict:
    code = error.status.code or 0
    if code == _CONFLICT:
        causes = error.status.details.causes if error.status.details else None
        fields = ", ".join(sorted({cause.field or "" for cause in causes or []}))
        return RuntimeConflict(
            f"Somebody else holds {fields or 'what this order would change'} in the cluster; "
            "take the change back, or give the field to the platform."
        )
    if code in {_BAD, _INVALID}:
        return RuntimeConflict(f"The cluster does not accept the order: {(error.status.message or '')[:300]}")
    if code in _REFUSALS:
        return RuntimeConflict(_REFUSALS[code])
    return _status(error.response, code)


def _status(response: Any, code: int) -> RuntimeUnavailable:
    wait = response.headers.get("Retry-After", "") if response is not None else ""
    sentence = (
        "The cluster does not know the platform's service account; check its token."
        if code == _UNKNOWN
        else "The cluster's API server cannot take orders now."
    )
    return RuntimeUnavailable(sentence, retry_after=int(wait) if wait.isdecimal() else 5)
