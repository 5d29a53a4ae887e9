"""What the audit room needs from outside: a mirror, rooms whose rows must follow from events, and a process that verifies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.merkle import leaf_hash
from mlops_platform.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from mlops_platform.audit.actions import Action
    from mlops_platform.audit.schemas import Verification
    from mlops_platform.database.session import ReadSession


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


@dataclass(frozen=True)
class Claim:
    """What a row says happened: the log must hold an event of this action and resource with these details.

    sentence: what the row says, for a person. where_recorded: compared only with events that have such a detail, for what
    older events do not say. person: who must have done it; None asks for nobody in particular. actor: the person's pseudonym,
    which the audit room fills in.
    """

    sentence: str
    action: str
    resource: str
    details: Mapping[str, Any] = field(default_factory=dict)
    where_recorded: Mapping[str, Any] = field(default_factory=dict)
    person: str | None = None
    actor: str | None = None


@dataclass(frozen=True)
class Recorded:
    """An event as claims are compared with it."""

    action: str
    actor: str
    resource: str
    details: Mapping[str, Any]


class RecordedState(ABC):
    """A room whose rows must follow from its events. Somebody who writes rows by SQL cannot write the events."""

    # the actions whose events explain the rows
    actions: "frozenset[Action]"

    @abstractmethod
    async def claims(self, session: "ReadSession") -> list[Claim]:
        """Return what the rows of this room say, as this session's snapshot sees them."""


class VerificationFailed(Unavailable):
    """The process that verifies ended without a result."""

    title = "The audit log could not be verified"


class Verifier(ABC):
    """Verifies the log in a process of its own: hashing a long log must not hold up whoever answers predictions."""

    @abstractmethod
    async def verify(self, *, full: bool) -> "Verification":
        """Return the result; a run of the same kind that is under way is joined. Raises VerificationFailed."""
