"""What the audit room needs from outside: a copy of the log where whoever owns the database cannot reach."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_platform.audit.merkle import leaf_hash
from mlops_platform.audit.signing import SignedHead
from mlops_platform.errors import Conflict, Unavailable


class MirrorUnavailable(Unavailable):
    """The mirror does not take or give anything now. Nothing is lost: the log is in PostgreSQL."""

    title = "The audit mirror is not answering"


class MirrorConflict(Conflict):
    """Log and mirror do not say the same. Nothing was replaced on either side; a person has to look."""

    title = "The audit log and its mirror do not agree"


@dataclass(frozen=True)
class MirroredEvent:
    """One event; `payload` is the exact text that was hashed."""

    seq: int
    tenant: str
    resource: str
    payload: str

    @property
    def leaf(self) -> bytes:
        """Its leaf of the Merkle tree."""
        return leaf_hash(self.payload.encode())


@dataclass(frozen=True, order=True)
class Seal:
    """A head as the mirror has locked it: the log had `size` events and this root (hex)."""

    size: int
    root: str


class Mirror(ABC):
    """Takes batches of events in the order of the log, each closed by a seal. What it holds is never replaced.

    Methods block and raise MirrorUnavailable; call them in a thread.
    """

    @abstractmethod
    def keep(self, events: Sequence[MirroredEvent], head: SignedHead) -> None:
        """Keep events without gaps, the last of which has the sequence `head.size`, then seal them with the head.

        Repeating it changes nothing, so a batch that was cut off is simply given again. Raises MirrorConflict when
        another text is kept under one of the numbers, or another root under the size; neither is overwritten.
        """

    @abstractmethod
    def newest(self) -> Seal | None:
        """Return the largest seal: up to its size the mirror is complete. None while it is empty."""

    @abstractmethod
    def seals(self) -> list[Seal]:
        """Return every seal that was ever written, by size; two of one size mean that somebody else wrote one."""

    @abstractmethod
    def events(self, tenant: str, first: int, last: int) -> list[MirroredEvent]:
        """Return the kept events of a tenant from sequence `first` to `last`, in order."""

    @abstractmethod
    def sealed_after(self, size: int) -> list[MirroredEvent]:
        """Return the sealed events of every tenant beyond `size`, in order."""
