"""From two readings of a meter to money, at the prices of machines and storage in the price table. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from mlops_platform.costs.allocation import GRAIN
from mlops_platform.costs.interfaces import Cost, ProcessUse, Reading
from mlops_platform.costs.prices import PriceTable

# the machine whose price is divided: half of it pays for its processors, half for its memory
_MACHINE, _CPUS, _GIB = "m5.large", 2, 8
_HOUR = 3600
_GIB_BYTES = 1024**3


@dataclass(frozen=True)
class Rates:
    """What a second costs."""

    cpu_second: Decimal
    memory_byte_second: Decimal
    stored_byte_second: Decimal

    @classmethod
    def of(cls, prices: PriceTable) -> "Rates":
        """Return the rates of a price table."""
        half = prices.of("ec2", "on_demand_hour", _MACHINE) / 2 / _HOUR
        stored = prices.of("s3", "standard_gb_month") / (prices.hours * _HOUR) / 10**9
        return cls(half / _CPUS, half / _GIB / _GIB_BYTES, stored)


def plausible(reading: Reading) -> tuple[Reading, list[ProcessUse]]:
    """Return the reading without what no process can have used, and what was left out."""
    odd = [use for use in reading.processes if not (math.isfinite(use.cpu_seconds) and math.isfinite(use.created))]
    return replace(reading, processes=tuple(use for use in reading.processes if use not in odd)), odd


def metered(before: Reading | None, now: Reading, rates: Rates, owners: Mapping[str, tuple[str, str]]) -> list[Cost]:
    """Return what was used since the reading before, with the owners that are known.

    A process that was there before pays for what it used since; one that is new pays from its start, so a worker that was
    away misses nothing of what still runs. What ended in between is missed since its last reading. `owners` is revision
    id -> (tenant, model).
    """
    return [
        cost for cost in (*_processes(before, now, rates, owners), *_stored(before, now, rates, owners)) if cost.usd
    ]


def _processes(
    before: Reading | None, now: Reading, rates: Rates, owners: Mapping[str, tuple[str, str]]
) -> Iterator[Cost]:
    known = {(use.pid, use.created): use for use in before.processes} if before else {}
    for use in now.processes:
        earlier = known.get((use.pid, use.created))
        seconds = _seconds(use, earlier, before, now)
        cpu = Decimal(str(max(0.0, use.cpu_seconds - (earlier.cpu_seconds if earlier else 0.0))))
        usd = cpu * rates.cpu_second + Decimal(str(seconds)) * use.memory_bytes * rates.memory_byte_second
        tenant, model = owners.get(use.revision_id, ("", ""))
        yield Cost(now.at.date(), use.service, tenant, model, usd.quantize(GRAIN))


def _seconds(use: ProcessUse, earlier: ProcessUse | None, before: Reading | None, now: Reading) -> float:
    since = before.at.timestamp() if before and earlier else use.created
    return max(0.0, now.at.timestamp() - since)


def _stored(
    before: Reading | None, now: Reading, rates: Rates, owners: Mapping[str, tuple[str, str]]
) -> Iterator[Cost]:
    if before is None:
        return
    seconds = Decimal(str(max(0.0, (now.at - before.at).total_seconds())))
    tenants = {model: tenant for tenant, model in owners.values()}
    for use in now.stored:
        usd = (seconds * use.size * rates.stored_byte_second).quantize(GRAIN)
        known = use.model if use.model in tenants else ""
        yield Cost(now.at.date(), use.service, tenants.get(known, ""), known, usd)
