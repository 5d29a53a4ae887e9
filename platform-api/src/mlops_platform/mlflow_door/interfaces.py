"""What the door needs from the MLflow server behind it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from mlops_platform.errors import Unavailable
from mlops_platform.kit.replies import Header


class MlflowNotAnswering(Unavailable):
    """The MLflow server behind the door does not answer."""

    title = "MLflow is not answering"

    def __init__(self) -> None:
        super().__init__(
            "MLflow cannot be reached; live models keep answering. Try again in a few seconds.", retry_after=5
        )


@dataclass(frozen=True)
class Outgoing:
    """A request to MLflow. `target` is path and query as they go over the wire."""

    method: str
    target: str
    workspace: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] | None = None


class Incoming(ABC):
    """MLflow's answer, its body not read yet."""

    status: int
    headers: list[Header]

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises MlflowNotAnswering when it breaks off."""

    async def read(self) -> bytes:
        """Return the whole body; only for answers that are known to be small."""
        return b"".join([chunk async for chunk in self.chunks()])


class Upstream(ABC):
    """The MLflow server, reached by nobody but the platform."""

    @abstractmethod
    def exchange(self, request: Outgoing) -> AbstractAsyncContextManager[Incoming]:
        """Send a request and yield its answer.

        Raises MlflowNotAnswering. What the request's body raises while it is read ends the exchange and is raised again.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""
