"""What the approvals room needs from outside."""

from abc import ABC, abstractmethod

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
