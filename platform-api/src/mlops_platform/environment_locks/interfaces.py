"""What environments of models need from outside: a resolver, and a store that installs what it locked."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_platform.environment_locks.contents import Contents
from mlops_platform.environment_locks.lock import Lock
from mlops_platform.errors import Unavailable
from model_server.libraries.packed import Packed

# the lock an environment was installed from, in the folder of its bundle and so signed with it
LOCK = "environment.json"


class EnvironmentUnavailable(Unavailable):
    """The package index or the folder of environments is not answering."""

    title = "A model's libraries cannot be installed now"


class Unresolvable(Exception):
    """No set of versions fits what the model names; the sentence says which package."""


class NoInterpreter(Exception):
    """The Python version that the model names is not on this machine; the sentence says what to do."""


@dataclass(frozen=True)
class Installed:
    """One environment that is there: its name, Python, how many packages, bytes (those of shared files too), last want."""

    name: str
    python: str
    packages: int
    size: int
    wanted_at: datetime


class Archives(ABC):
    """Keeps packed environments where pods read them. Methods block. Every method may raise EnvironmentUnavailable."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The address below which archives lie, each at `Packed.key`."""

    @abstractmethod
    def publish(self, folder: Path) -> Packed:
        """Pack an installed environment and keep it; what was published before is not packed again."""


class EnvironmentStore(ABC):
    """Installs locked environments side by side, each once. Methods block: call them in a thread.

    Every method may raise EnvironmentUnavailable.
    """

    @property
    @abstractmethod
    def root(self) -> Path:
        """The folder that environments lie in, by name."""

    @abstractmethod
    def lock(self, requirements: Sequence[str], python: str) -> Lock:
        """Resolve to exact versions with hashes, for this Python (major.minor). Raises Unresolvable, NoInterpreter."""

    @abstractmethod
    def provide(self, lock: Lock) -> bool:
        """Install the environment unless it is there and whole; return whether it was made now.

        Two that ask at once: one installs, the other waits. Raises NoInterpreter, and Unresolvable when the index no longer
        has a file of the lock.
        """

    @abstractmethod
    def contents(self, name: str) -> Contents:
        """Return the libraries of an installed environment."""

    @abstractmethod
    def installed(self) -> list[Installed]:
        """Return every whole environment, the one wanted last first."""

    @abstractmethod
    def collect(self, kept: Collection[str], older_than_seconds: float) -> list[str]:
        """Remove environments that are not `kept` and were not wanted for this long; return their names."""
