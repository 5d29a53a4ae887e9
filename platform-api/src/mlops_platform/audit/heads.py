"""Signed heads: what they say, what their signature covers, and whose key it is. Pure: values in, values out."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mlops_platform.kit.canonical import canonical_bytes


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


def parse_head(told: Any) -> SignedHead:
    """Return the head that a JSON object says. Raises ValueError for anything else; the signature is not checked here."""
    if not isinstance(told, Mapping):
        raise ValueError("a signed head is a JSON object")  # noqa: TRY004 - one error for everything that is no head
    size, root, at, signature = (told.get(name) for name in ("size", "root", "at", "signature"))
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError("a signed head has a 'size' of 1 or more")
    if not isinstance(root, str) or len(bytes.fromhex(root)) != sha256().digest_size:
        raise ValueError("a signed head has a 'root' of 32 bytes in hex")
    if not isinstance(at, str) or not isinstance(signature, str):
        raise ValueError("a signed head has a time 'at' and a 'signature'")  # noqa: TRY004 - as above
    return SignedHead(size, root, datetime.fromisoformat(at), signature)


def signature_holds(key: Ed25519PublicKey, head: SignedHead) -> bool:
    """Return whether a head was signed by this key."""
    return statement_holds(key, head_bytes(head.size, head.root, head.at), head.signature)


def statement_holds(key: Ed25519PublicKey, signed: bytes, signature: str) -> bool:
    """Return whether these bytes were signed by this key (signature in base64)."""
    try:
        key.verify(base64.b64decode(signature, validate=True), signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_pem(key: Ed25519PublicKey) -> str:
    """Return a verifying key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of the key's SubjectPublicKeyInfo in hex, as RFC 6962 §3.2 names a log's key."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(encoded).hexdigest()


def public_key(pem: str) -> Ed25519PublicKey:
    """Return the verifying key of a PEM text. Raises ValueError when it is none of Ed25519."""
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the public key is not an Ed25519 key")  # noqa: TRY004 - one error for every wrong key
    return key
