"""The key that signs statements, in a file of this machine."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlops_platform.kit.keyfiles import load_or_create
from mlops_platform.statements.interfaces import SignerUnavailable, StatementSigner
from model_server.trust.envelope import key_id


class FileStatementSigner(StatementSigner):
    """Signs with a P-256 key. A missing key is made, and its public half beside the place verifiers read it from."""

    def __init__(self, key_file: Path, public_keys_file: Path) -> None:
        self._key_file = key_file
        self._public_keys_file = public_keys_file

    def key_id(self) -> str:
        public = self._key().public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        # whoever signs asks for this first: verifiers find the public half before there is anything to verify
        load_or_create(self._public_keys_file, lambda: pem)
        return key_id(public)

    def sign(self, content: bytes) -> bytes:
        return self._key().sign(content, ec.ECDSA(hashes.SHA256()))

    def _key(self) -> ec.EllipticCurvePrivateKey:
        try:
            found: Any = serialization.load_pem_private_key(load_or_create(self._key_file, _new_key), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise SignerUnavailable(f"The key that signs statements cannot be read: {self._key_file}.") from error
        if not isinstance(found, ec.EllipticCurvePrivateKey) or not isinstance(found.curve, ec.SECP256R1):
            raise SignerUnavailable(f"{self._key_file} must hold an elliptic-curve private key on P-256.")
        return found


def move(before: Path, now: Path) -> None:
    """Move a key to its present place, unless one is there. A kill leaves it in one of the two. Raises OSError."""
    if before.exists() and not now.exists():
        now.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        before.rename(now)


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
