"""What statements need from outside: a key nobody else has, and a place where pods read."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from mlops_platform.errors import Unavailable


class SignerUnavailable(Unavailable):
    """The key that signs statements cannot be used now."""

    title = "Statements of approval cannot be signed now"


class StatementSigner(ABC):
    """Signs with ECDSA on P-256 and SHA-256. Both methods block: call them in a thread; both raise SignerUnavailable."""

    @abstractmethod
    def key_id(self) -> str:
        """Return the SHA-256 (hex) of the public key's DER form."""

    @abstractmethod
    def sign(self, content: bytes) -> bytes:
        """Return the signature of the content, in DER."""


class BulletinUnavailable(Unavailable):
    """Statements and lists cannot be posted now."""

    title = "Model servers cannot be told of approvals now"


@dataclass(frozen=True)
class Posted:
    """Where a pod reads."""

    statement: str
    revocations: str


class Bulletin(ABC):
    """Where the processes read that know no database: statements of approval, and the list of withdrawn ones.

    What is posted is signed: a reader believes the signature, not the place. Methods that post block, and raise
    BulletinUnavailable.
    """

    @abstractmethod
    def post_statement(self, name: str, envelope: bytes) -> None:
        """Post a statement under the name of its file; again replaces it."""

    @abstractmethod
    def post_list(self, envelope: bytes) -> None:
        """Post the list of withdrawn approvals in the place of the last one."""

    @abstractmethod
    def where(self, name: str) -> Posted:
        """Return where a statement of this name is read, and where the list is."""
