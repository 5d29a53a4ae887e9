"""DSSE envelopes, protocol v1.0 (https://github.com/secure-systems-lab/dsse): only what was signed is read.

Sixty lines instead of securesystemslib: a model server's image carries no other signature library, and the tests hold
both against each other.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from model_server.refusals import Refused

IN_TOTO = "application/vnd.in-toto+json"
_MOST_BYTES = 16_000_000
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)

Sign = Callable[[bytes], bytes]


class PublicKeys:
    """The keys whose signatures count, by key id. They come from settings or an image, never from beside a bundle."""

    def __init__(self, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> None:
        self.by_id = MappingProxyType(dict(keys))

    @classmethod
    def from_pem(cls, content: bytes) -> "PublicKeys":
        """Read one key or several, one after the other. Raises Refused `no_keys` when there is none."""
        found = {}
        for block in _PEM.findall(content):
            try:
                key = serialization.load_pem_public_key(block)
            except ValueError as error:
                raise Refused("no_keys", "A public key of approvals cannot be read; give PEM blocks.") from error
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise Refused("no_keys", "A public key of approvals must be an elliptic-curve key.")
            found[key_id(key)] = key
        if not found:
            raise Refused("no_keys", "No public key of approvals was given; nothing can be verified without one.")
        return cls(found)


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 (hex) of the key's DER form."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def pre_authentication(kind: str, payload: bytes) -> bytes:
    """Return DSSE's PAE: what a signature covers."""
    return b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)


def seal(payload: bytes, keyid: str, sign: Sign, kind: str = IN_TOTO) -> bytes:
    """Return the envelope of a payload; `sign` gives an ECDSA signature with SHA-256, in DER."""
    signature = sign(pre_authentication(kind, payload))
    envelope = {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope).encode()


def unseal(content: bytes, keys: PublicKeys, kind: str = IN_TOTO) -> bytes:
    """Return the payload when one of the keys signed it. Raises Refused `not_signed`."""
    payload, signatures = _read(content, kind)
    covered = pre_authentication(kind, payload)
    for keyid, signature in signatures:
        # the id is a hint that nobody signed: without a known one, every key is tried
        for key in [keys.by_id[keyid]] if keyid in keys.by_id else keys.by_id.values():
            try:
                key.verify(signature, covered, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                continue
            return payload
    raise Refused("not_signed", "The statement of approval is not signed with a key this process trusts.")


def _read(content: bytes, kind: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    unreadable = Refused("not_signed", "The statement of approval cannot be read.")
    if len(content) > _MOST_BYTES:
        raise unreadable
    try:
        envelope: dict[str, Any] = json.loads(content)
        found_kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"], validate=True)
        signatures = [
            (str(one.get("keyid", "")), base64.b64decode(one["sig"], validate=True)) for one in envelope["signatures"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unreadable from error
    if found_kind != kind:
        raise unreadable
    return payload, signatures
