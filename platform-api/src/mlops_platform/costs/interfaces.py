"""What the costs room needs from outside: a bill, or a meter where nobody sends one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from mlops_platform.errors import Unavailable

# who pays for what nobody can be asked to pay for
SHARED = "shared"


class CostsUnavailable(Unavailable):
    """The bill or the meter cannot be read."""

    title = "Costs cannot be read now"


@dataclass(frozen=True)
class Cost:
    """What one service cost on one day. An empty tenant or model means that the source does not know whose it was."""

    day: date
    service: str
    tenant: str
    model: str
    usd: Decimal


@dataclass(frozen=True)
class ProcessUse:
    """One process as it is now. pid and start time tell it from a later process with the same pid."""

    service: str
    pid: int
    created: float
    cpu_seconds: float
    memory_bytes: int
    revision_id: str = ""


@dataclass(frozen=True)
class StoredUse:
    """Bytes that something keeps now."""

    service: str
    size: int
    model: str = ""


@dataclass(frozen=True)
class Reading:
    """What a meter saw at one moment."""

    at: datetime
    processes: tuple[ProcessUse, ...]
    stored: tuple[StoredUse, ...]


class Bill(ABC):
    """Somebody else's account of what was spent, day by day; days may still change for a while."""

    @abstractmethod
    async def costs(self, since: date, until: date) -> list[Cost]:
        """Return the costs of the days from `since` up to but without `until`. Raises CostsUnavailable."""


class Meter(ABC):
    """Measures use where there is no bill; the price table makes money of it."""

    @abstractmethod
    def read(self) -> Reading:
        """Return what runs and what is stored now. Blocking. Raises CostsUnavailable."""
