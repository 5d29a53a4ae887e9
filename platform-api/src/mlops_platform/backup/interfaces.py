"""Where backups are kept: a folder, or a bucket. It is given nothing but sealed bytes under names that say nothing."""

from abc import ABC, abstractmethod

from mlops_platform.errors import Unavailable


class BackupStoreUnavailable(Unavailable):
    """The place of backups cannot be written or read now; what was written so far stays, and the next run goes on from it."""

    title = "The place of backups is not answering"


class BackupStore(ABC):
    """Blobs under names such as `objects/ab/abcd`. Methods block, and may raise BackupStoreUnavailable.

    A blob exists whole or not at all, and is never changed; the same name twice is the same content.
    """

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Keep a blob; when this returns it is on disk there."""

    @abstractmethod
    def get(self, name: str) -> bytes | None:
        """Return a blob, None when there is none."""

    @abstractmethod
    def names(self, prefix: str) -> set[str]:
        """Return the names of all blobs below a prefix that ends with a slash."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a blob; one that is not there is no error."""
