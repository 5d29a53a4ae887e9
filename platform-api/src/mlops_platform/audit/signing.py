"""Signed heads: an Ed25519 key kept outside the database, and an append-only copy of every head it signed."""

import base64
import hmac
import os
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.kit.keyfiles import load_or_create

if TYPE_CHECKING:
    from mlops_platform.audit.interfaces import Mirror

_PSEUDONYM_KEY_BYTES = 32


@dataclass(frozen=True)
class SignedHead:
    """`size` events, their Merkle root (hex), when it was signed, and the signature (base64)."""

    size: int
    root: str
    at: datetime
    signature: str


def head_bytes(size: int, root: str, at: datetime) -> bytes:
    """Return the bytes a head's signature covers."""
    return canonical_bytes({"size": size, "root": root, "at": at.isoformat()})


class AuditLog:
    """What the log keeps outside PostgreSQL: the signing key, the pseudonym key, the anchor file and perhaps a mirror."""

    def __init__(
        self, key_file: Path, pseudonym_key_file: Path, anchor_file: Path, mirror: "Mirror | None" = None
    ) -> None:
        """A key file that is missing is made. Raises OSError, and ValueError or TypeError for a file that is no such key."""
        self.anchor_file = anchor_file
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
    def public_key(self) -> Ed25519PublicKey:
        """The key that verifies heads."""
        return self._key.public_key()

    def public_pem(self) -> str:
        """Return the verifying key as PEM."""
        return self.public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def pseudonym(self, subject: str) -> str:
        """Return the keyed hash that stands for a person in the log (HMAC-SHA-256, 128 bits)."""
        return "person:" + hmac.new(self._pseudonym_key, subject.encode(), sha256).hexdigest()[:32]

    def sign(self, size: int, root: str, at: datetime) -> SignedHead:
        """Return the signed head."""
        return SignedHead(size, root, at, base64.b64encode(self._key.sign(head_bytes(size, root, at))).decode())

    def anchor(self, heads: list[SignedHead]) -> None:
        """Append heads to the anchor file and force them to disk. Raises OSError."""
        lines = b"".join(
            canonical_bytes(
                {"size": head.size, "root": head.root, "at": head.at.isoformat(), "signature": head.signature}
            )
            + b"\n"
            for head in heads
        )
        self.anchor_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.anchor_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, lines)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def anchored(self) -> list[SignedHead]:
        """Return every head of the anchor file. A line torn by a crash is left out: its head is in the database."""
        if not self.anchor_file.exists():
            return []
        heads = []
        for line in self.anchor_file.read_bytes().splitlines():
            try:
                head = orjson.loads(line)
                heads.append(
                    SignedHead(head["size"], head["root"], datetime.fromisoformat(head["at"]), head["signature"])
                )
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                continue
        return heads


def signature_holds(key: Ed25519PublicKey, head: SignedHead) -> bool:
    """Return whether a head was signed by this key."""
    try:
        key.verify(base64.b64decode(head.signature, validate=True), head_bytes(head.size, head.root, head.at))
    except (InvalidSignature, ValueError):
        return False
    return True


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
