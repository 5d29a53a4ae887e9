"""When an item that failed is tried again: later each time, so that it costs its neighbours nothing."""

import time
from collections.abc import Callable, Hashable

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 300.0


def pause_after(attempts: int) -> float:
    """Return the seconds to wait after so many failed attempts: 1, 2, 4 …, at most 300."""
    return min(_FIRST_SECONDS * 2.0 ** min(attempts - 1, 20), _LONGEST_SECONDS)


class Backoff:
    """Remembers, in this process, which items failed and when each is due again; where a database is at hand: failing/."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[Hashable, tuple[int, float]] = {}

    def due(self, item: Hashable) -> bool:
        """Return whether an item may be tried now: it never failed, or has waited long enough."""
        return item not in self._failed or self._clock() >= self._failed[item][1]

    def failed(self, item: Hashable) -> float:
        """Note a failure; return the seconds until the item is due again."""
        attempts = self._failed.get(item, (0, 0.0))[0] + 1
        wait = pause_after(attempts)
        self._failed[item] = (attempts, self._clock() + wait)
        return wait

    def succeeded(self, item: Hashable) -> None:
        """Forget an item's failures."""
        self._failed.pop(item, None)
