"""What the log keeps outside the database: an Ed25519 key, the key of pseudonyms, and the anchor file."""

import base64
import hmac
import os
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mlops_platform.audit import heads
from mlops_platform.audit.anchors import AnchorFile
from mlops_platform.audit.heads import SignedHead, head_bytes
from mlops_platform.kit.keyfiles import load_or_create

if TYPE_CHECKING:
    from mlops_platform.audit.interfaces import Mirror

_PSEUDONYM_KEY_BYTES = 32


class AuditLog:
    """The signing key, the pseudonym key, the anchor file and perhaps a mirror."""

    def __init__(
        self, key_file: Path, pseudonym_key_file: Path, anchor_file: Path, mirror: "Mirror | None" = None
    ) -> None:
        """A key file that is missing is made. Raises OSError, and ValueError or TypeError for a file that is no such key."""
        self.anchors = AnchorFile(anchor_file)
        self.mirror = mirror
        private = load_or_create(key_file, _new_signing_key)
        key = serialization.load_pem_private_key(private, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{key_file} must hold an Ed25519 private key")
        self._key = key
        self._pseudonym_key = load_or_create(pseudonym_key_file, lambda: os.urandom(_PSEUDONYM_KEY_BYTES))
        if len(self._pseudonym_key) < _PSEUDONYM_KEY_BYTES:
            # with a short key the names of all employees are tried in minutes
            raise ValueError(f"{pseudonym_key_file} must hold at least {_PSEUDONYM_KEY_BYTES} random bytes")

    @property
    def anchor_file(self) -> Path:
        """Where heads are anchored."""
        return self.anchors.path

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that verifies heads."""
        return self._key.public_key()

    @property
    def key_id(self) -> str:
        """The name of the key: the SHA-256 of its public half."""
        return heads.key_id(self.public_key)

    def public_pem(self) -> str:
        """Return the verifying key as PEM."""
        return heads.public_pem(self.public_key)

    def pseudonym(self, subject: str) -> str:
        """Return the keyed hash that stands for a person in the log (HMAC-SHA-256, 128 bits)."""
        return "person:" + hmac.new(self._pseudonym_key, subject.encode(), sha256).hexdigest()[:32]

    def sign(self, size: int, root: str, at: datetime) -> SignedHead:
        """Return the signed head."""
        return SignedHead(size, root, at, self.sign_statement(head_bytes(size, root, at)))

    def sign_statement(self, statement: bytes) -> str:
        """Return the signature (base64) of bytes that cannot be taken for a head: `audit/marks.py` says which."""
        return base64.b64encode(self._key.sign(statement)).decode()

    def anchor(self, signed: list[SignedHead]) -> None:
        """Append heads to the anchor file and force them to disk. Raises OSError."""
        self.anchors.append(signed)

    def anchored(self) -> list[SignedHead]:
        """Return every head of the anchor file that can be read."""
        return list(self.anchors.read().heads)


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
