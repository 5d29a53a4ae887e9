"""What the approvals room needs from outside."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """Something people should know of."""

    kind: str
    roles: tuple[str, ...]
    tenant: str
    sentence: str
    link: str


class Notifier(ABC):
    """Tells people; a notice that cannot be delivered never stops the work it is about."""

    @abstractmethod
    async def tell(self, notice: Notice) -> None:
        """Deliver the notice, or log that it could not be delivered."""
