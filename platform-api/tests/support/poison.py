"""Poisoning one item of a job that works on many: its neighbours must be done all the same.

`spoiled` wraps a part of the platform so that it fails for chosen arguments and passes everything else on.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

Part = TypeVar("Part")


class PoisonedItem(Exception):
    """What no code expects: a row, an artifact or an answer that breaks whoever touches it."""


class _Spoiled:
    def __init__(self, part: object, method: str, when: Callable[..., bool]) -> None:
        self._part, self._method, self._when = part, method, when

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name != self._method:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if self._when(*arguments, **named):
                raise PoisonedItem(f"{name}{arguments}")
            return found(*arguments, **named)

        async def call_async(*arguments: Any, **named: Any) -> Any:
            return await call(*arguments, **named)

        return call_async if inspect.iscoroutinefunction(found) else call


def spoiled(part: Part, method: str, when: Callable[..., bool]) -> Part:
    """Return a part whose `method` raises PoisonedItem when `when` says so of its arguments."""
    return cast("Part", _Spoiled(part, method, when))
