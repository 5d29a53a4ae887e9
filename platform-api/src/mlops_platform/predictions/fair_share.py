"""What one tenant may ask of the data plane, so that the others' requests are answered: a rate, and a number in flight.

The rate is a generic cell rate algorithm (ITU-T I.371, annex A): per tenant one number, the time at which its bucket is full again.
It lies in memory that all API processes of one machine share. `limits` and `pyrate-limiter` share a bucket only through Redis or
another server, which is a round trip for each prediction.
"""

import math
import mmap
import time
from hashlib import blake2b

from mlops_platform.errors import TooManyRequests

_SLOTS, _SLOT_BYTES, _PROBES = 1_024, 16, 32
_KEY, _TIME = 0, 1


class OverItsShare(TooManyRequests):
    """A tenant asks more than its share."""

    def __init__(self, sentence: str, retry_after: int) -> None:
        detail = f"{sentence} Try again in {retry_after} s, or send fewer requests with more rows each."
        super().__init__(detail, retry_after=retry_after)


class Buckets:
    """A number for each tenant, shared with every process that is forked after this was made.

    Two processes that count one tenant in the same instant may count one request for both: the limit is approximate by as many
    requests as there are processes, never by more.
    """

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, _SLOTS * _SLOT_BYTES))
        self._keys, self._times = self._memory.cast("Q"), self._memory.cast("d")
        self._places: dict[str, tuple[int, int]] = {}

    def place(self, tenant: str) -> int:
        """Return the index of the tenant's number in `times`."""
        known = self._places.get(tenant)
        if known is not None and self._keys[known[0]] == known[1]:
            return known[0] + _TIME
        # 0 marks a slot that nobody has
        key = int.from_bytes(blake2b(tenant.encode(errors="surrogatepass"), digest_size=8).digest()) or 1
        first = index = (key % _SLOTS) * 2
        for probe in range(_PROBES):
            index = (first + 2 * probe) % (2 * _SLOTS)
            if self._keys[index] == 0:
                self._keys[index] = key
            if self._keys[index] == key:
                break
        # no slot in reach: it shares the last one looked at, and its limit, with another tenant
        self._places[tenant] = (index, self._keys[index])
        return index + _TIME

    def read(self, place: int) -> float:
        """Return the number at a place."""
        return self._times[place]

    def write(self, place: int, value: float) -> None:
        """Replace the number at a place."""
        self._times[place] = value


# made when this module is imported: the parent of the API's processes imports it before it forks
BUCKETS = Buckets()


class FairShare:
    """The shares of one process. `rate`: requests per second over all processes, None for no limit; `in_flight`: in this process."""

    def __init__(self, buckets: Buckets, rate: float | None, burst: int, in_flight: int) -> None:
        self._buckets = buckets
        self._interval = 1 / rate if rate else 0.0
        self._patience = burst * self._interval
        self._most = in_flight
        self._inside: dict[str, int] = {}

    def admit(self, tenant: str) -> None:
        """Count one request. Raises OverItsShare when the tenant's bucket is empty."""
        if not self._interval:
            return
        place, now = self._buckets.place(tenant), time.monotonic()
        full_at = max(self._buckets.read(place), now) + self._interval
        if full_at - now > self._patience + 1e-9:
            wait = math.ceil(full_at - now - self._patience)
            raise OverItsShare("Your tenant asks more requests per second than it may.", wait)
        self._buckets.write(place, full_at)

    def give_back(self, tenant: str) -> None:
        """Undo one `admit` of a request that is asked again another way."""
        if self._interval:
            place = self._buckets.place(tenant)
            self._buckets.write(place, self._buckets.read(place) - self._interval)

    def enter(self, tenant: str) -> None:
        """Count one request that may wait, until `leave`. Raises OverItsShare; then it is not counted."""
        inside = self._inside.get(tenant, 0)
        if inside >= self._most:
            raise OverItsShare(f"{inside} requests of your tenant are being answered already.", 1)
        self.admit(tenant)
        self._inside[tenant] = inside + 1

    def leave(self, tenant: str) -> None:
        """End what `enter` began."""
        inside = self._inside.pop(tenant) - 1
        if inside:
            self._inside[tenant] = inside
