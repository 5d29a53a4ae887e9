"""Sealing what is kept: compressed, encrypted in the age format for one recipient, named by a keyed hash.

Whoever keeps the blobs learns neither content nor names, and a machine that takes backups cannot read the old ones: it
has the recipient (a public key), not the identity. Pure: bytes in, bytes out.
"""

import base64
import hmac
import json
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_platform.audit.heads import key_id, public_key, public_pem, statement_holds
from mlops_platform.backup.manifest import Chunk, Manifest, NotABackup, from_told, to_bytes

# what is read and sealed at once: bounds memory, and the part of a large file that is kept again when a byte changes
CHUNK_BYTES = 32 << 20
_FAST = 1
# what a signature of ours covers begins with this: no manifest can be taken for a signed head of the audit log
_CONTEXT = b"mlops-backup-manifest-v1\0"


class WrongKey(Exception):
    """The identity or passphrase does not open this backup."""


class NotAKey(Exception):
    """A text is no age recipient or identity; the sentence says what is expected."""


class Seal:
    """Seals for one recipient."""

    def __init__(self, recipient: str, naming_key: bytes) -> None:
        """Raises NotAKey."""
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(recipient.strip())
        except pyrage.RecipientError as error:
            raise NotAKey("a recipient begins with age1; `mlops backup new-key` makes one") from error
        self._naming_key = naming_key

    def chunk(self, content: bytes) -> Chunk:
        """Return what the content will be called; the same content gets the same name."""
        digest = sha256(content).digest()
        name = hmac.new(self._naming_key, digest, sha256).hexdigest()
        return Chunk(f"objects/{name[:2]}/{name}", digest.hex(), len(content))

    def close(self, content: bytes) -> bytes:
        """Return the sealed content."""
        return bytes(pyrage.encrypt(zlib.compress(content, _FAST), [self._recipient]))


class Opener:
    """Opens what was sealed for an identity."""

    def __init__(self, identity: str) -> None:
        """Raises NotAKey."""
        try:
            self._identity = pyrage.x25519.Identity.from_str(_secret_line(identity))
        except pyrage.IdentityError as error:
            raise NotAKey("an identity is a line that begins with AGE-SECRET-KEY-1") from error

    @property
    def recipient(self) -> str:
        """For whom to seal what this opens."""
        return str(self._identity.to_public())

    def open(self, sealed: bytes, at_most: int | None = None) -> bytes:
        """Return the content. Raises WrongKey, and NotABackup when it was changed or is longer than it should be."""
        try:
            packed = bytes(pyrage.decrypt(sealed, [self._identity]))
        except pyrage.DecryptError as error:
            raise WrongKey("the key does not open this backup, or a blob of it was changed") from error
        try:
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(packed, 0 if at_most is None else at_most + 1)
        except zlib.error as error:
            raise NotABackup("a blob of the backup was changed") from error
        if at_most is not None and len(content) > at_most:
            raise NotABackup("a blob of the backup is longer than its manifest says")
        return content

    def chunk(self, sealed: bytes, chunk: Chunk) -> bytes:
        """Return the content of a chunk, which is what the manifest says it is. Raises WrongKey and NotABackup."""
        content = self.open(sealed, chunk.size)
        if sha256(content).hexdigest() != chunk.sha256:
            raise NotABackup("a blob of the backup was exchanged for another one")
        return content


@dataclass(frozen=True)
class Signer:
    """The key that signs manifests."""

    key: Ed25519PrivateKey

    @property
    def fingerprint(self) -> str:
        """The SHA-256 (hex) of the public key: what a person notes down."""
        return key_id(self.key.public_key())

    def envelope(self, manifest: Manifest) -> bytes:
        """Return the manifest with its signature and the key that verifies it."""
        content = to_bytes(manifest)
        signature = base64.b64encode(self.key.sign(_CONTEXT + content)).decode()
        told = {"manifest": content.decode(), "signature": signature, "public_key": public_pem(self.key.public_key())}
        return orjson.dumps(told)


def opened_envelope(content: bytes, signed_by: str) -> Manifest:
    """Return the manifest of an envelope that the key with this fingerprint signed. Raises NotABackup."""
    try:
        told = orjson.loads(content)
        key = public_key(told["public_key"])
        text, signature = told["manifest"].encode(), str(told["signature"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotABackup("the manifest of the backup cannot be read") from error
    if not hmac.compare_digest(key_id(key), signed_by.strip().lower().removeprefix("sha256:")):
        raise NotABackup(
            f"the backup was signed with another key (SHA-256 {key_id(key)}) than the one you named; do not restore it"
        )
    if not statement_holds(key, _CONTEXT + text, signature):
        raise NotABackup("the manifest of the backup was changed: its signature does not hold; do not restore it")
    return from_told(orjson.loads(text))


def new_identity() -> tuple[str, str]:
    """Return a new identity (to be kept away from the platform) and its recipient."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def locked_identity(identity: str, signed_by: str, passphrase: str) -> bytes:
    """Return the identity and whose signature counts, sealed with a passphrase (scrypt)."""
    return bytes(
        pyrage.passphrase.encrypt(json.dumps({"identity": identity, "signed_by": signed_by}).encode(), passphrase)
    )


def unlocked_identity(sealed: bytes, passphrase: str) -> tuple[str, str]:
    """Return the identity and whose signature counts. Raises WrongKey and NotABackup."""
    try:
        told: Any = json.loads(pyrage.passphrase.decrypt(sealed, passphrase))
        return str(told["identity"]), str(told["signed_by"])
    except pyrage.DecryptError as error:
        raise WrongKey("the passphrase does not open this backup") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotABackup("the locked identity beside the backups cannot be read") from error


def _secret_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if lines else ""
