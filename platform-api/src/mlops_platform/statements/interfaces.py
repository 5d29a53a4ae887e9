"""What statements need from outside: a key nobody else has."""

from abc import ABC, abstractmethod

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
