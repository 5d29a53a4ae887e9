"""What the approvals room needs from outside."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from mlops_platform.approvals.schemas import Approval
from mlops_platform.database.session import Session


class Subjects(ABC):
    """What requests are about: it waits, and it learns the outcome in the transaction that settles the request."""

    @abstractmethod
    async def lock(self, session: Session, subject_id: str) -> None:
        """Lock the subject before its request is locked: everybody takes these locks in this order."""

    @abstractmethod
    async def settled(self, session: Session, approval: Approval) -> None:
        """Let the subject go on, or end it."""


@dataclass(frozen=True)
class Notice:
    """Something people should know of."""

    kind: str
    roles: tuple[str, ...]
    """Whoever has one of these roles in the tenant should know."""
    tenant: str
    sentence: str
    link: str
    people: tuple[str, ...] = ()
    """These people should know, by subject."""


class Notifier(ABC):
    """Tells people; a notice that cannot be delivered never stops the work it is about."""

    @abstractmethod
    async def tell(self, notice: Notice) -> None:
        """Deliver the notice, or log that it could not be delivered."""
