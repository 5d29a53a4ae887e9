"""The console's cookie: a random name of a session on the server, which is also the only key to what lies there. Pure."""

import hmac
import re
import secrets
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PLAIN_NAME = "mlops_session"
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
_NONCE = 12


class NotSealedWithThisKey(ValueError):
    """The bytes were not sealed with this key, or somebody changed them."""


def name(*, secure: bool) -> str:
    """Return the cookie's name: over https one that browsers take from this very host only, and only with Secure."""
    return f"__Host-{PLAIN_NAME}" if secure else PLAIN_NAME


def new_cookie() -> str:
    """Return the cookie of a new session: 256 random bits."""
    return secrets.token_urlsafe(32)


def is_cookie(text: str) -> bool:
    """Return whether a text can be a cookie of ours at all."""
    return _COOKIE.fullmatch(text) is not None


def id_of(cookie: str) -> str:
    """Return what the database knows the session by: who reads it there cannot sign in with it."""
    return sha256(b"session:" + cookie.encode(errors="replace")).hexdigest()


def seal(cookie: str, content: bytes) -> bytes:
    """Encrypt what only the holder of the cookie may read."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(_key(cookie)).encrypt(nonce, content, id_of(cookie).encode())


def unseal(cookie: str, sealed: bytes) -> bytes:
    """Return what was sealed with this cookie. Raises NotSealedWithThisKey."""
    try:
        return AESGCM(_key(cookie)).decrypt(sealed[:_NONCE], sealed[_NONCE:], id_of(cookie).encode())
    except (InvalidTag, ValueError) as error:
        raise NotSealedWithThisKey from error


def _key(cookie: str) -> bytes:
    return hmac.new(cookie.encode(errors="replace"), b"mlops-session-seal", sha256).digest()
