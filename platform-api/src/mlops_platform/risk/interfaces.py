"""What the risk room needs from outside: who holds the bytes whose risk it records."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.policy.definition import RiskLevel


@dataclass(frozen=True)
class Holder:
    """A registered version with these bytes; `responsible` are who owns it and who registered it, as far as they are named."""

    name: str
    version: int
    tenant: str
    responsible: frozenset[str]


class Holders(ABC):
    """The catalogue, as far as it knows a digest."""

    @abstractmethod
    async def of(self, session: ReadSession | Session, digest: str) -> Sequence[Holder]:
        """Return every version with this digest, of every tenant, by name and number."""

    @abstractmethod
    async def show(self, session: Session, digest: str, level: RiskLevel) -> None:
        """Show this level for every version with the digest; the caller holds the lock of its risk record."""
