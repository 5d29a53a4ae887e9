"""Models on Kubernetes: KServe runs them, Gateway API shares the traffic. Orders are server-side applies.

Nothing is kept here that the cluster does not know: a worker that is killed anywhere leaves an order that the next one
repeats without effect.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource

from mlops_platform.adapters.kserve import manifests
from mlops_platform.adapters.kserve.cache import Item, Key, key_of
from mlops_platform.adapters.kserve.errors import NO_ANSWER, NOT_FOUND, situation
from mlops_platform.adapters.kserve.manifests import DEPLOYMENT, MANAGER, REVISION, ClusterPlace
from mlops_platform.adapters.kserve.watch import Watched
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


class KServeRuntime(ServingRuntime):
    """One InferenceService per revision, one HTTPRoute per deployment.

    Orders go to the API server; what it has is known from two watches, which the first question begins.
    """

    def __init__(
        self,
        place: ClusterPlace,
        *,
        config: KubeConfig | None = None,
        timeout_seconds: float = 10,
        patience_seconds: float = 900,
        watch_seconds: float = 10,
        pause_seconds: float = 0.25,
    ) -> None:
        self._place = place
        self._config = config
        self._timeout = httpx2.Timeout(timeout_seconds)
        self._patience = timedelta(seconds=patience_seconds)
        self._client: AsyncClient | None = None
        self._reader: httpx2.AsyncClient | None = None
        self.services, self.routes = (
            Watched(
                kind,
                f"/apis/{group}/{version}/{plural}",
                f"app.kubernetes.io/managed-by={MANAGER}",
                self._read_with,
                watch_seconds=watch_seconds,
                timeout_seconds=timeout_seconds,
                pause_seconds=pause_seconds,
            )
            for kind, group, version, plural in (
                ("InferenceService", manifests.SERVING_GROUP, manifests.SERVING_VERSION, "inferenceservices"),
                ("HTTPRoute", manifests.ROUTE_GROUP, manifests.ROUTE_VERSION, "httproutes"),
            )
        )
        # per deployment the order that was last found in force, where it is and in which version
        self._in_force: dict[str, tuple[Routing, Key, str]] = {}

    async def apply(self, spec: RevisionSpec) -> None:
        async with self._orders() as client:
            # not forced: what a person changed by hand is reported, not fought over
            answer = await client.apply(InferenceService(**manifests.inference_service(self._place, spec)))
        self.services.keep(dict(answer))

    async def observe(self, revision_id: str) -> Observed:
        found = await self._labelled(self.services, REVISION, revision_id)
        if not found:
            return Observed(ready=False, failed=False, message="not running in the cluster yet")
        return manifests.read_status(found[0], now(), self._patience)

    async def remove(self, revision_id: str) -> None:
        await self._delete(InferenceService, self.services, await self._labelled(self.services, REVISION, revision_id))

    async def route(self, routing: Routing) -> None:
        if not routing.shares:
            found = await self._labelled(self.routes, DEPLOYMENT, routing.deployment_id)
            await self._delete(HTTPRoute, self.routes, found)
            return
        async with self._orders() as client:
            # forced: a rollback must win over whoever touched the weights
            answer = dict(await client.apply(HTTPRoute(**manifests.http_route(self._place, routing)), force=True))
        self.routes.keep(answer)
        # believed even where the server left something out: repeating the order would not change its mind
        version = answer["metadata"]["resourceVersion"]
        self._in_force[routing.deployment_id] = (routing, key_of(answer), version)

    async def misrouted(self, wanted: Collection[Routing]) -> set[str]:
        asked = {routing.deployment_id: routing for routing in wanted if routing.shares}
        found = {key_of(item): item for item in await self._items(self.routes)}
        in_force = {name: known for name, routing in asked.items() if (known := self._find(routing, found)) is not None}
        self._in_force = in_force
        unasked = {_label(item, DEPLOYMENT) for item in found.values()} - asked.keys() - {""}
        return unasked | (asked.keys() - in_force.keys())

    def _find(self, routing: Routing, found: dict[Key, Item]) -> tuple[Routing, Key, str] | None:
        """Return where an order is in force; None when it is not."""
        known = self._in_force.get(routing.deployment_id)
        # with thousands of routes most of a pass would be comparing what has not changed
        if known and known[0] == routing and (item := found.get(known[1])) and _version(item) == known[2]:
            return known
        order = manifests.http_route(self._place, routing)
        current = found.get(key_of(order))
        if current is None or not manifests.holds(current, order):
            return None
        return routing, key_of(order), _version(current)

    def address(self, placement: Placement) -> str | None:
        return manifests.address(self._place, placement)

    async def known(self) -> set[str]:
        return {_label(item, REVISION) for item in await self._items(self.services)} - {""}

    async def close(self) -> None:
        await asyncio.gather(self.services.close(), self.routes.close())
        if self._reader is not None:
            await self._reader.aclose()
        if self._client is not None:
            await self._client.close()
        self._reader = self._client = None

    async def _items(self, watched: Watched) -> list[Item]:
        """Return the platform's objects, but those that are on their way out: nothing can be asked of them."""
        async with self._orders():
            items = await watched.items()
        return [item for item in items.values() if "deletionTimestamp" not in item["metadata"]]

    async def _labelled(self, watched: Watched, label: str, value: str) -> list[Item]:
        return [item for item in await self._items(watched) if _label(item, label) == value]

    async def _delete(self, kind: Any, watched: Watched, items: list[Item]) -> None:
        for item in items:
            namespace, name = key_of(item)
            async with self._orders() as client:
                try:
                    await client.delete(kind, name, namespace=namespace)
                except ApiError as error:
                    if error.status.code != NOT_FOUND:
                        raise
            watched.drop(item)

    def _connect(self) -> AsyncClient:
        if self._client is None:
            self._client = AsyncClient(self._config, timeout=self._timeout, field_manager=MANAGER)
        return self._client

    def _read_with(self) -> httpx2.AsyncClient:
        # lightkube's own watch asks for no bookmarks, waits for ever for a connection that is no more, and knows nothing of Retry-After
        if self._reader is None:
            parameters = client_adapter.ConnectionParams(timeout=self._timeout)
            self._reader = client_adapter.AsyncClient(self._connect().config, parameters)
        return self._reader

    @asynccontextmanager
    async def _orders(self) -> AsyncIterator[AsyncClient]:
        """Give the client; what goes wrong with it leaves as a situation of the platform."""
        try:
            yield self._connect()
        except ApiError as error:
            raise _situation(error) from error
        except ConfigError as error:
            raise RuntimeUnavailable(
                "There is no cluster to serve in: neither a service account nor a kubeconfig was found.", retry_after=30
            ) from error
        except httpx2.HTTPStatusError as error:
            raise situation(error.response.status_code, error.response.headers) from error
        except httpx2.HTTPError as error:
            raise RuntimeUnavailable(NO_ANSWER, retry_after=5) from error


def _label(item: Item, name: str) -> str:
    return str(item["metadata"].get("labels", {}).get(name, ""))


def _version(item: Item) -> str:
    return str(item["metadata"]["resourceVersion"])


def _situation(error: ApiError) -> RuntimeUnavailable | RuntimeConflict:
    causes = error.status.details.causes if error.status.details else None
    fields = ", ".join(sorted({cause.field or "" for cause in causes or []}))
    headers = error.response.headers if error.response is not None else {}
    return situation(error.status.code or 0, headers, error.status.message or "", fields)
