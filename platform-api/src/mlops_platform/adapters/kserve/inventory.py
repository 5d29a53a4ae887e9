"""What the cluster has: a list that is read again after a while, corrected by the platform's own orders in between."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import structlog

from mlops_platform.adapters.kserve.resources import Key, ListedRoute, ListedService, key_of
from mlops_platform.deployments.interfaces import RuntimeConflict, RuntimeUnavailable
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)
Item = TypeVar("Item", ListedService, ListedRoute)

# a list that takes long is asked for less often: at most a tenth of the time is spent on it, here and in the API server
_TIMES_ITS_DURATION = 10
# how long after a list was due the platform goes on without it
_GRACE_SECONDS = 30.0
# a proxy that asks to wait for an hour would take away the view of the cluster for an hour
_LONGEST_WAIT_SECONDS = 60


class Inventory(Generic[Item]):
    """The objects of one kind that carry the platform's label, in all namespaces.

    Listed at the first use, and again when `list_seconds` have passed (later when lists take long). Orders are known at
    once: `upsert` and `remove` win over a list that was under way. A list that fails is repeated when the server asks for
    it; meanwhile the last one counts, but not for more than 30 s after the next was due.
    """

    def __init__(self, kind: str, read: Callable[[], Awaitable[Sequence[Item]]], list_seconds: float) -> None:
        self._kind = kind
        self._read: Callable[[], Awaitable[Sequence[Item]]] = read
        self._list_seconds = list_seconds
        self._found: dict[Key, Item] = {}
        # own orders since the list under way began; None: deleted
        self._orders: dict[Key, Item | None] = {}
        self._reading = asyncio.Lock()
        self._next_list = self._valid_until = -math.inf
        self._failure, self._retry_after = "What the cluster runs has not been listed yet.", 1

    async def items(self) -> Mapping[Key, Item]:
        """Return the objects by namespace and name, without those that are being deleted. Raises RuntimeUnavailable."""
        # two callers at once share one list
        async with self._reading:
            if time.monotonic() >= self._next_list:
                await self._list()
        if time.monotonic() > self._valid_until:
            raise RuntimeUnavailable(self._failure, retry_after=self._retry_after)
        return self._found

    def upsert(self, item: Item) -> None:
        """Take the answer to an order."""
        self._order(key_of(item), item)

    def remove(self, key: Key) -> None:
        """Forget an object whose deletion was ordered. Until its finalizers are done, lists still have it, marked."""
        self._order(key, None)

    def expire(self) -> None:
        """Forget everything: the next use lists."""
        self._found.clear()
        self._next_list = self._valid_until = -math.inf

    def _order(self, key: Key, item: Item | None) -> None:
        self._orders[key] = item
        self._apply(key, item)

    def _apply(self, key: Key, item: Item | None) -> None:
        if item is None or item.metadata.deletionTimestamp is not None:
            self._found.pop(key, None)
        else:
            self._found[key] = item

    async def _list(self) -> None:
        self._orders.clear()
        began = time.monotonic()
        try:
            items = await self._read()
        except (RuntimeUnavailable, RuntimeConflict) as error:
            self._failed(error)
            return
        except Exception:
            self._next_list = time.monotonic() + self._list_seconds
            self._failure = "What the cluster's API server lists cannot be read; see the worker's log."
            metrics.kserve_list_failures_total.labels(self._kind).inc()
            raise
        self._found.clear()
        for item in items:
            self._apply(key_of(item), item)
        for key, order in self._orders.items():
            self._apply(key, order)
        ended = time.monotonic()
        self._next_list = ended + max(self._list_seconds, _TIMES_ITS_DURATION * (ended - began))
        self._valid_until = self._next_list + _GRACE_SECONDS
        metrics.kserve_last_list_timestamp_seconds.labels(self._kind).set_to_current_time()

    def _failed(self, error: RuntimeUnavailable | RuntimeConflict) -> None:
        self._failure, self._retry_after = error.detail, error.retry_after or math.ceil(self._list_seconds)
        self._next_list = time.monotonic() + min(self._retry_after, _LONGEST_WAIT_SECONDS)
        metrics.kserve_list_failures_total.labels(self._kind).inc()
        log.warning("cluster not listed", kind=self._kind, reason=error.detail, again_in_seconds=self._retry_after)
