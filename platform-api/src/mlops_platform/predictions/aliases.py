"""What a name beside the versions stands for: aliases of the registry, asked for when somebody uses one."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry, RegistryUnavailable

log = structlog.get_logger(__name__)

# an alias that was moved is followed within the second; between the two, one request asks and the others do not wait
_FRESH_SECONDS, _OLD_SECONDS = 3.0, 6.0
_MOST = 10_000
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def is_alias(version: str) -> bool:
    """Return whether a version is asked for by a name: neither a number nor `latest`."""
    return version != "latest" and not version.isdecimal() and _NAME.fullmatch(version) is not None


class Known(NamedTuple):
    """What the registry said, and when; None: there is no such alias."""

    version: int | None
    at: float


class Aliases:
    """The aliases that were asked for, at most six seconds old while the registry answers."""

    def __init__(self, registry: ModelRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._known: dict[tuple[str, str], Known] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[int | None]] = {}

    async def version(self, name: str, alias: str) -> int | None:
        """Return the version an alias of a model names, None when it has no such alias.

        While the registry is away, what it said last holds. Raises RegistryUnavailable when it never said anything.
        """
        key = (name, alias)
        known = self._known.get(key)
        age = self._clock() - known.at if known is not None else _OLD_SECONDS
        if known is not None and age < _FRESH_SECONDS:
            return known.version
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        if known is not None and age < _OLD_SECONDS:
            return known.version
        # whoever asked first may go away: the others wait for the same answer
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str]) -> int | None:
        try:
            version: int | None = await self._registry.version_of_alias(*key)
        except NotInRegistry:
            version = None
        except RegistryUnavailable as error:
            if (known := self._known.get(key)) is None:
                raise
            log.warning("alias not read again", model=key[0], alias=key[1], reason=error.detail)
            return known.version
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = Known(version, self._clock())
        return version
