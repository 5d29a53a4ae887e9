"""The keys of backups in a home: whose signature counts, what names blobs, and for whom each place is sealed."""

import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.backup.reading import IDENTITY
from mlops_platform.backup.sealing import Opener, Seal, Signer, locked_identity, new_identity, unlocked_identity
from mlops_platform.kit.keyfiles import load_or_create
from mlops_platform.local.home import Home
from mlops_platform.local.state import replace_text

_SIGNING, _NAMING, _RECIPIENTS = "backup-signing.pem", "backup-names.key", "backup-recipients.json"
_SHORTEST_PASSPHRASE = 12


class KeyMissing(Exception):
    """Nobody said for whom to seal, or with what to open; the sentence says what to give."""


def signer(home: Home) -> Signer:
    """Return the key that signs this home's manifests; made at first use."""
    key = serialization.load_pem_private_key(load_or_create(_keys(home) / _SIGNING, _new_key), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{_keys(home) / _SIGNING} must hold an Ed25519 private key")
    return Signer(key)


def seal_for(home: Home, place: str, store: BackupStore, recipient: str | None, passphrase: Path | None) -> Seal:
    """Return the seal of a place: for the recipient that was given, or the one of before, or one that a passphrase locks.

    The recipient of a place is kept in this home, so that nobody who can write there can have backups sealed for themselves.
    Raises KeyMissing, WrongKey and NotAKey.
    """
    known: dict[str, str] = _known(home)
    if recipient is None and passphrase is not None:
        recipient = _behind_passphrase(home, store, passphrase)
    if recipient is not None and known.get(place, recipient) != recipient.strip():
        raise KeyMissing(
            f"{place} was used with another recipient; take another place, or the recipient of before ({known[place]})"
        )
    chosen = recipient or known.get(place)
    if chosen is None:
        raise KeyMissing(
            "say for whom the backup is encrypted: --recipient age1… (made by `mlops backup new-key FILE`) or --passphrase-file FILE"
        )
    seal = Seal(chosen, load_or_create(_keys(home) / _NAMING, lambda: os.urandom(32)))
    replace_text(_keys(home) / _RECIPIENTS, json.dumps({**known, place: chosen.strip()}, indent=1, sort_keys=True))
    return seal


def opener_for(
    store: BackupStore, identity: Path | None, passphrase: Path | None, signed_by: str | None
) -> tuple[Opener, str]:
    """Return what opens a place, and whose signature counts. Raises KeyMissing, WrongKey, NotAKey and NotABackup."""
    if passphrase is not None:
        locked = store.get(IDENTITY)
        if locked is None:
            raise KeyMissing("these backups were not made with a passphrase; give --identity FILE and --signed-by")
        secret, signer_known = unlocked_identity(locked, read_passphrase(passphrase))
        return Opener(secret), signed_by or signer_known
    if identity is None:
        raise KeyMissing("give --passphrase-file FILE, or --identity FILE with the key that the backups were made for")
    if signed_by is None:
        raise KeyMissing(
            "give --signed-by with the fingerprint that `mlops backup` printed: anybody can encrypt for your key, so only the "
            "signature says that it is your backup"
        )
    return Opener(identity.read_text()), signed_by


def read_passphrase(file: Path) -> str:
    """Return the passphrase in a file. Raises KeyMissing for one that is too short to protect anything."""
    found = file.read_text().strip()
    if len(found) < _SHORTEST_PASSPHRASE:
        raise KeyMissing(f"the passphrase in {file} is too short: take {_SHORTEST_PASSPHRASE} characters or more")
    return found


def _behind_passphrase(home: Home, store: BackupStore, file: Path) -> str:
    passphrase = read_passphrase(file)
    locked = store.get(IDENTITY)
    if locked is None:
        identity, _ = new_identity()
        locked = locked_identity(identity, signer(home).fingerprint, passphrase)
        store.put(IDENTITY, locked)
    secret, _ = unlocked_identity(locked, passphrase)
    return Opener(secret).recipient


def _known(home: Home) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((_keys(home) / _RECIPIENTS).read_text())
    except FileNotFoundError:
        return {}
    return found


def _keys(home: Home) -> Path:
    return home.folder / "keys"


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
