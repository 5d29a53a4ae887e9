"""The signature of a manifest on AWS: by a key of KMS, checked with the key whose fingerprint a person or a setting names. Pure."""

import base64
import hmac
from hashlib import sha256

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlops_platform.backup.cluster_manifest import ClusterManifest, from_told, to_bytes
from mlops_platform.backup.manifest import NotABackup

# what this signature covers begins with this: no other thing the key might sign can be taken for a manifest
_CONTEXT = b"mlops-cluster-backup-manifest-v1\0"


def fingerprint(public_pem: str) -> str:
    """Return the SHA-256 (hex) of a public key's DER form: what a person notes down. Raises ValueError for no P-256 key."""
    der = _key(public_pem).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(der).hexdigest()


def signed_bytes(manifest: ClusterManifest) -> bytes:
    """Return what a signature has to cover: short enough for KMS, which takes 4 KiB."""
    return _covered(to_bytes(manifest))


def envelope(manifest: ClusterManifest, signature: bytes, public_pem: str) -> bytes:
    """Return the manifest with its signature and the key that verifies it."""
    told = {
        "manifest": to_bytes(manifest).decode(),
        "signature": base64.b64encode(signature).decode(),
        "public_key": public_pem,
    }
    return orjson.dumps(told)


def is_cluster(content: bytes) -> bool:
    """Return whether a manifest is one of AWS: that of a home is sealed, and is no JSON."""
    return content.startswith(b"{")


def opened(content: bytes, signed_by: str) -> ClusterManifest:
    """Return the manifest of an envelope that the key with this fingerprint signed. Raises NotABackup."""
    try:
        told = orjson.loads(content)
        text, pem = told["manifest"].encode(), str(told["public_key"])
        signature, found = base64.b64decode(told["signature"], validate=True), fingerprint(pem)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotABackup("the manifest of the backup cannot be read") from error
    if not hmac.compare_digest(found, signed_by.strip().lower().removeprefix("sha256:")):
        raise NotABackup(
            f"the backup was signed with another key (SHA-256 {found}) than the one you named; do not restore it"
        )
    try:
        _key(pem).verify(signature, _covered(text), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise NotABackup(
            "the manifest of the backup was changed: its signature does not hold; do not restore it"
        ) from error
    return from_told(orjson.loads(text))


def _covered(text: bytes) -> bytes:
    return _CONTEXT + sha256(text).digest()


def _key(pem: str) -> ec.EllipticCurvePublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("the key that signs backups is not of the kind ECC_NIST_P256")  # noqa: TRY004 - one error for every wrong key
    return key
