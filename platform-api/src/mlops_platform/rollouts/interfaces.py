"""What rollouts need from outside: how a revision does under traffic."""

from abc import ABC, abstractmethod
from datetime import datetime

from mlops_platform.errors import Unavailable
from mlops_platform.rollouts.rollout import Signal


class SignalsUnavailable(Unavailable):
    """The metrics of a rollout cannot be read."""

    title = "The rollout's metrics cannot be read"


class Signals(ABC):
    """Reads how a revision does."""

    @abstractmethod
    async def since(self, revision_id: str, start: datetime) -> Signal:
        """Return requests, errors and p99 of a revision since a time. Raises SignalsUnavailable."""
