"""What environments of models need from outside: a resolver, and a store that installs what it locked."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path

from mlops_platform.environment_locks.contents import Contents
from mlops_platform.environment_locks.lock import Lock
from mlops_platform.errors import Unavailable

# the lock an environment was installed from, in the folder of its bundle and so signed with it
LOCK = "environment.json"


class EnvironmentUnavailable(Unavailable):
    """The package index or the folder of environments is not answering."""

    title = "A model's libraries cannot be installed now"


class Unresolvable(Exception):
    """No set of versions fits what the model names; the sentence says which package."""


class NoInterpreter(Exception):
    """The Python version that the model names is not on this machine; the sentence says what to do."""


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
    def collect(self, kept: Collection[str], older_than_seconds: float) -> list[str]:
        """Remove environments that are not `kept` and were not wanted for this long; return their names."""
