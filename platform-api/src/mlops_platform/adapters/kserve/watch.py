"""Knowing what a cluster has without asking for it again and again: one list, then a watch of what changes."""

import asyncio
import contextlib
import json
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import structlog

from mlops_platform.adapters.kserve.cache import Cache, Item, Key
from mlops_platform.adapters.kserve.errors import GONE, NO_ANSWER, TOO_MANY, retry_after, situation
from mlops_platform.deployments.interfaces import RuntimeUnavailable
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)

_PAGE = 500
_LONGEST_PAUSE = 10.0
# a proxy that asks for an hour would take the platform's view of the cluster away for an hour
_LONGEST_ASKED = 60
_SERVER_ERROR = 500


class _Interrupted(Exception):
    """The list or watch cannot go on as it is."""

    def __init__(self, reason: str, sentence: str, wait: int = 0) -> None:
        super().__init__(sentence)
        self.reason, self.sentence, self.wait = reason, sentence, wait


class Watched:
    """The objects of one kind that carry the platform's label, in all namespaces.

    The first use lists them and leaves a task that watches. A watch ends regularly after `watch_seconds` and goes on from
    the last version it told; one whose version has expired is listed again. The last sign of life of what is answered is
    at most `stale_seconds` old; beyond that nothing is answered. Refusals and broken connections are tried again with
    growing, random pauses, and not before the server's Retry-After.
    """

    def __init__(
        self,
        kind: str,
        path: str,
        selector: str,
        reader: Callable[[], httpx2.AsyncClient],
        *,
        watch_seconds: float,
        timeout_seconds: float,
        pause_seconds: float,
    ) -> None:
        self._kind, self._path, self._query = kind, path, {"labelSelector": selector}
        self._reader = reader
        self._watch_seconds, self._timeout, self._pause_seconds = watch_seconds, timeout_seconds, pause_seconds
        # one watch that is cut and the next that is silent to its end do not make it stale
        self.stale_seconds = 2 * watch_seconds + timeout_seconds
        self._cache = Cache()
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._contact = -math.inf
        self._problem = NO_ANSWER
        # since the last watch that told something; a list alone does not show that watching works
        self._failures = 0

    async def items(self) -> Mapping[Key, Item]:
        """Return the objects by namespace and name. Raises RuntimeUnavailable unless they are in step with the cluster."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"watch of {self._kind}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self._tried.wait()
        if self._age() > self.stale_seconds:
            raise RuntimeUnavailable(self._problem, retry_after=5)
        return self._cache.items

    @property
    def version(self) -> int | None:
        """The resource version up to which everything is known."""
        return self._cache.version

    def keep(self, item: Item) -> None:
        """Answer from now on with what the server answered to an order."""
        self._cache.keep(item)

    def drop(self, item: Item) -> None:
        """Answer from now on without an object the server was told to delete."""
        self._cache.drop(item)

    async def close(self) -> None:
        """End the task. Using the objects again would begin with a list."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task, self._contact = None, -math.inf
        self._tried.clear()

    def _age(self) -> float:
        return time.monotonic() - self._contact

    def _heard(self) -> None:
        self._contact, self._problem = time.monotonic(), NO_ANSWER
        metrics.kserve_watch_last_contact_timestamp_seconds.labels(self._kind).set_to_current_time()

    async def _run(self) -> None:
        while True:
            wait = 0
            try:
                await self._follow()
                continue
            except _Interrupted as interrupted:
                reason, wait, self._problem = interrupted.reason, interrupted.wait, interrupted.sentence
                cause = self._problem
            except httpx2.HTTPError as error:
                reason, cause, self._problem = "disconnected", repr(error), NO_ANSWER
            except Exception as error:  # the task's boundary: whatever it was, it is logged, counted, and begun again
                log.exception("watch crashed", kind=self._kind)
                reason, cause = "crashed", type(error).__name__
                self._problem = "Reading what the cluster runs failed; see the worker's log."
            if reason in {"expired", "crashed"}:
                self._cache.version = None
            # who waits for the first list waits for the next one, too
            if reason != "expired":
                self._tried.set()
            self._failures += 1
            pause = self._pause(wait)
            log.warning("watch interrupted", kind=self._kind, reason=reason, cause=cause, pause=round(pause, 2))
            metrics.kserve_watch_restarts_total.labels(self._kind, reason).inc()
            await asyncio.sleep(pause)

    def _pause(self, asked: int) -> float:
        longest = min(_LONGEST_PAUSE, self._pause_seconds * 2.0 ** min(self._failures - 1, 10))
        # random, so that workers that lost the same server do not come back at once
        return min(asked, _LONGEST_ASKED) + longest * random.uniform(0.5, 1)  # noqa: S311 - no secret

    async def _follow(self) -> None:
        """List when nothing is known, or too little to be sure until the next watch ends; then watch once."""
        if self._cache.version is None or self._age() > self.stale_seconds - self._watch_seconds:
            await self._list()
        await self._watch()

    async def _list(self) -> None:
        self._cache.begin()
        items: list[Item] = []
        query = {**self._query, "limit": str(_PAGE)}
        while True:
            response = await self._reader().get(self._path, params=query)
            _check(response)
            page = response.json()
            items += page["items"]
            if not (following := page["metadata"].get("continue")):
                break
            query["continue"] = following
        self._cache.replace(items, int(page["metadata"]["resourceVersion"]))
        self._heard()
        self._tried.set()

    async def _watch(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self._cache.version),
            "timeoutSeconds": str(max(1, round(self._watch_seconds))),
        }
        # the server ends a silent watch in time; one that does not has a connection that is no more
        patience = httpx2.Timeout(self._timeout, read=self._watch_seconds + self._timeout)
        began, told, rest = time.monotonic(), 0, b""
        async with self._reader().stream("GET", self._path, params=query, timeout=patience) as response:
            _check(response)
            # not aiter_lines(): for it a line also ends at characters that JSON may hold
            async for piece in response.aiter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                for event in map(json.loads, filter(None, lines)):
                    told += self._event(event["type"], event["object"])
        if rest or (not told and time.monotonic() - began < self._watch_seconds / 2):
            raise _Interrupted("disconnected", "The cluster's API server ends watches early.")
        self._failures = 0
        self._heard()

    def _event(self, kind: str, item: dict[str, Any]) -> bool:
        """Take an event; return whether it tells of an object."""
        if kind == "ERROR":
            _refuse(item.get("code", _SERVER_ERROR), {})
        self._cache.tell(kind, item)
        self._failures = 0
        self._heard()
        return kind != "BOOKMARK"


def _check(response: httpx2.Response) -> None:
    if not response.is_success:
        _refuse(response.status_code, response.headers)


def _refuse(code: int, headers: Mapping[str, str]) -> None:
    if code == GONE:
        raise _Interrupted("expired", "What the cluster runs is being listed again.")
    reason = "unavailable" if code == TOO_MANY or code >= _SERVER_ERROR else "refused"
    raise _Interrupted(reason, situation(code, headers).detail, retry_after(headers) or 0)
