"""Nobody without the identity reads a backup, and nobody without the signing key makes one."""

import zlib

import orjson
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_platform.backup.manifest import NotABackup
from mlops_platform.backup.sealing import (
    NotAKey,
    Opener,
    Seal,
    Signer,
    WrongKey,
    locked_identity,
    new_identity,
    opened_envelope,
    unlocked_identity,
)

from .test_manifest import manifest

IDENTITY, RECIPIENT = new_identity()
SEAL, OPENER = Seal(RECIPIENT, b"n" * 32), Opener(f"# public key: {RECIPIENT}\n{IDENTITY}\n")
SIGNER = Signer(Ed25519PrivateKey.generate())


def test_what_is_sealed_is_opened_by_its_identity_and_by_no_other() -> None:
    sealed = SEAL.close(b"approved" * 100)
    assert b"approved" not in sealed
    assert OPENER.open(sealed) == b"approved" * 100
    with pytest.raises(WrongKey):
        Opener(new_identity()[0]).open(sealed)


def test_a_name_says_nothing_of_its_content_and_is_the_same_for_the_same_content() -> None:
    chunk = SEAL.chunk(b"approved")
    assert chunk == SEAL.chunk(b"approved")
    assert chunk.sha256 not in chunk.blob
    assert Seal(RECIPIENT, b"o" * 32).chunk(b"approved").blob != chunk.blob


@pytest.mark.parametrize("at", [0, 60, -1])
def test_a_changed_byte_is_refused(at: int) -> None:
    sealed = bytearray(SEAL.close(b"approved"))
    sealed[at] ^= 1
    with pytest.raises((WrongKey, NotABackup)):
        OPENER.chunk(bytes(sealed), SEAL.chunk(b"approved"))


def test_a_blob_of_another_content_for_the_same_recipient_is_refused() -> None:
    with pytest.raises(NotABackup, match="exchanged"):
        OPENER.chunk(SEAL.close(b"reject!!"), SEAL.chunk(b"approved"))


def test_a_blob_that_grows_is_not_unpacked() -> None:
    bomb = bytes(pyrage.encrypt(zlib.compress(b"0" * 10_000_000), [pyrage.x25519.Recipient.from_str(RECIPIENT)]))
    with pytest.raises(NotABackup, match="longer"):
        OPENER.chunk(bomb, SEAL.chunk(b"approved"))


def test_a_manifest_of_another_signer_is_refused() -> None:
    other = Signer(Ed25519PrivateKey.generate())
    assert opened_envelope(SIGNER.envelope(manifest()), f"SHA256:{SIGNER.fingerprint}") == manifest()
    with pytest.raises(NotABackup, match="another key"):
        opened_envelope(other.envelope(manifest()), SIGNER.fingerprint)


def test_a_changed_manifest_is_refused() -> None:
    told = orjson.loads(SIGNER.envelope(manifest()))
    told["manifest"] = told["manifest"].replace('"version":"1"', '"version":"2"')
    with pytest.raises(NotABackup, match="was changed"):
        opened_envelope(orjson.dumps(told), SIGNER.fingerprint)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"public_key": 7}'])
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(NotABackup):
        opened_envelope(content, SIGNER.fingerprint)


def test_a_passphrase_opens_the_identity_and_says_whose_signature_counts() -> None:
    locked = locked_identity(IDENTITY, SIGNER.fingerprint, "correct horse battery")
    assert unlocked_identity(locked, "correct horse battery") == (IDENTITY, SIGNER.fingerprint)
    with pytest.raises(WrongKey):
        unlocked_identity(locked, "correct horse batterie")


@pytest.mark.parametrize("text", ["", "age1qqqq", "AGE-SECRET-KEY-1", "ssh-ed25519 AAAA"])
def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotAKey):
        Seal(text, b"n" * 32)
    with pytest.raises(NotAKey):
        Opener(text)
