"""Models on Kubernetes: KServe runs them, Gateway API shares the traffic. Orders are server-side applies.

Nothing is kept here that the cluster does not know: a worker that is killed anywhere leaves an order that the next one
repeats without effect.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import httpx2
import msgspec
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from mlops_platform.adapters.kserve import manifests
from mlops_platform.adapters.kserve.errors import NO_ANSWER, NOT_FOUND, error_of
from mlops_platform.adapters.kserve.inventory import Inventory
from mlops_platform.adapters.kserve.manifests import DEPLOYMENT, MANAGER, REVISION, ClusterPlace
from mlops_platform.adapters.kserve.resources import (
    HTTPRoute,
    InferenceService,
    Key,
    ListedRoute,
    ListedService,
    key_of,
)
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

_Item = TypeVar("_Item", ListedService, ListedRoute)


class KServeRuntime(ServingRuntime):
    """One InferenceService per revision, one HTTPRoute per deployment.

    What the cluster has is listed every `list_seconds`; the status of one revision is read when it is asked for.
    """

    def __init__(
        self,
        place: ClusterPlace,
        *,
        config: KubeConfig | None = None,
        timeout_seconds: float = 10,
        patience_seconds: float = 900,
        list_seconds: float = 5,
    ) -> None:
        self._place = place
        self._config = config
        self._timeout = httpx2.Timeout(timeout_seconds)
        self._patience = timedelta(seconds=patience_seconds)
        self._client: AsyncClient | None = None
        self.services = Inventory("InferenceService", self._list(ListedService), list_seconds)
        self.routes = Inventory("HTTPRoute", self._list(ListedRoute), list_seconds)
        # per deployment the order that was last found in force, where it is and in which version
        self._in_force: dict[str, tuple[Routing, Key, str]] = {}

    async def apply(self, spec: RevisionSpec) -> None:
        async with self._connected() as client:
            # not forced: what a person changed by hand is reported, not fought over
            answer = await client.apply(InferenceService(**manifests.inference_service(self._place, spec)))
        self.services.upsert(msgspec.convert(answer, ListedService))

    async def observe(self, revision_id: str) -> Observed:
        for key in await _labelled(self.services, REVISION, revision_id):
            found = await self._service(key)
            if found is not None:
                return manifests.read_status(found, now(), self._patience)
            self.services.remove(key)
        return Observed(ready=False, failed=False, message="not running in the cluster yet")

    async def remove(self, revision_id: str) -> None:
        await self._delete(InferenceService, self.services, await _labelled(self.services, REVISION, revision_id))

    async def route(self, routing: Routing) -> None:
        if not routing.shares:
            found = await _labelled(self.routes, DEPLOYMENT, routing.deployment_id)
            await self._delete(HTTPRoute, self.routes, found)
            return
        async with self._connected() as client:
            # forced: a rollback must win over whoever touched the weights
            answer = await client.apply(HTTPRoute(**manifests.http_route(self._place, routing)), force=True)
        route = msgspec.convert(answer, ListedRoute)
        self.routes.upsert(route)
        # believed even where the server left something out: repeating the order would not change its mind
        self._in_force[routing.deployment_id] = (routing, key_of(route), route.metadata.resourceVersion)

    async def misrouted(self, wanted: Collection[Routing]) -> set[str]:
        asked = {routing.deployment_id: routing for routing in wanted if routing.shares}
        found = await self.routes.items()
        in_force = {name: known for name, routing in asked.items() if (known := self._find(routing, found)) is not None}
        self._in_force = in_force
        unasked = {_label(item, DEPLOYMENT) for item in found.values()} - asked.keys() - {""}
        return unasked | (asked.keys() - in_force.keys())

    def _find(self, routing: Routing, found: Mapping[Key, ListedRoute]) -> tuple[Routing, Key, str] | None:
        """Return where an order is in force; None when it is not."""
        known = self._in_force.get(routing.deployment_id)
        # with thousands of routes most of a pass would be comparing what has not changed
        if known and known[0] == routing and _version(found.get(known[1])) == known[2]:
            return known
        order = manifests.http_route(self._place, routing)
        key = order["metadata"]["namespace"], order["metadata"]["name"]
        current = found.get(key)
        if current is None or not (
            manifests.holds(current.metadata.labels, order["metadata"]["labels"])
            and manifests.holds(current.spec, order["spec"])
        ):
            return None
        return routing, key, current.metadata.resourceVersion

    def address(self, placement: Placement) -> str | None:
        return manifests.address(self._place, placement)

    async def known(self) -> set[str]:
        return {_label(item, REVISION) for item in (await self.services.items()).values()} - {""}

    async def close(self) -> None:
        self.services.expire()
        self.routes.expire()
        if self._client is not None:
            await self._client.close()
        self._client = None

    def _list(self, kind: type[_Item]) -> Callable[[], Awaitable[list[_Item]]]:
        async def read() -> list[_Item]:
            async with self._connected() as client:
                # in one piece, not in pages: so it comes from the API server's memory and etcd has no part in it
                ours = client.list(kind, namespace="*", labels={"app.kubernetes.io/managed-by": MANAGER})
                return [item async for item in ours]

        return read

    async def _service(self, key: Key) -> dict[str, Any] | None:
        """Return an InferenceService as it is now; None when it is gone or being deleted."""
        namespace, name = key
        async with self._connected() as client:
            try:
                found = dict(await client.get(InferenceService, name, namespace=namespace))
            except ApiError as error:
                if error.status.code != NOT_FOUND:
                    raise
                return None
        return None if "deletionTimestamp" in found["metadata"] else found

    async def _delete(self, kind: Any, inventory: Inventory[_Item], keys: list[Key]) -> None:
        for namespace, name in keys:
            async with self._connected() as client:
                try:
                    await client.delete(kind, name, namespace=namespace)
                except ApiError as error:
                    if error.status.code != NOT_FOUND:
                        raise
            inventory.remove((namespace, name))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncClient]:
        """Give the client. Raises RuntimeConflict or RuntimeUnavailable for whatever goes wrong with it."""
        try:
            if self._client is None:
                self._client = AsyncClient(self._config, timeout=self._timeout, field_manager=MANAGER)
            yield self._client
        except ApiError as error:
            raise _error_of(error) from error
        except ConfigError as error:
            raise RuntimeUnavailable(
                "There is no cluster to serve in: neither a service account nor a kubeconfig was found.", retry_after=30
            ) from error
        except httpx2.HTTPStatusError as error:
            raise error_of(error.response.status_code, error.response.headers) from error
        except httpx2.HTTPError as error:
            raise RuntimeUnavailable(NO_ANSWER, retry_after=5) from error


def _label(item: ListedService | ListedRoute, name: str) -> str:
    return item.metadata.labels.get(name, "")


def _version(route: ListedRoute | None) -> str | None:
    return route.metadata.resourceVersion if route is not None else None


async def _labelled(inventory: Inventory[_Item], label: str, value: str) -> list[Key]:
    return [key for key, item in (await inventory.items()).items() if _label(item, label) == value]


def _error_of(error: ApiError) -> RuntimeUnavailable | RuntimeConflict:
    causes = error.status.details.causes if error.status.details else None
    fields = ", ".join(sorted({cause.field or "" for cause in causes or []}))
    headers = error.response.headers if error.response is not None else {}
    return error_of(error.status.code or 0, headers, error.status.message or "", fields)
