"""One attempt to sign in: its state, nonce and PKCE verifier follow from one secret in the browser's cookie. Pure.

The server keeps nothing of an attempt: a callback whose state does not follow from a cookie of this browser was begun by
somebody else. That a state is used once is for who redeems it (identity/once.py).
"""

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

import orjson

SECONDS = 600
# state, nonce and verifier: 256 bits in the alphabet that RFC 7636 and URLs allow
_LONGEST_COOKIE = 3_000


@dataclass(frozen=True)
class Attempt:
    """What the browser keeps between leaving for the provider and coming back."""

    secret: str
    return_to: str
    kept: str
    """The key of a form that waits for the person, or nothing."""
    began: int
    """Unix seconds."""

    @classmethod
    def begin(cls, return_to: str, kept: str, now: float) -> "Attempt":
        """Return a new attempt."""
        return cls(secrets.token_urlsafe(32), return_to, kept, int(now))

    @property
    def state(self) -> str:
        """What the provider hands back; it binds the page to return to as well."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """What the ID token must carry."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The PKCE code verifier (RFC 7636)."""
        return self._derived("verifier")

    def cookie(self) -> str:
        """Return the attempt as the value of a cookie."""
        content = orjson.dumps([self.secret, self.return_to, self.kept, self.began])
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    @classmethod
    def read(cls, cookie: str, state: str, now: float) -> "Attempt | None":
        """Return the attempt of a cookie when the state is its own and its time is not over, else None."""
        if len(cookie) > _LONGEST_COOKIE:
            return None
        try:
            content = orjson.loads(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
            secret, return_to, kept, began = content
        except (binascii.Error, orjson.JSONDecodeError, TypeError, ValueError):
            return None
        texts = (secret, return_to, kept)
        if not all(isinstance(text, str) for text in texts) or not isinstance(began, int):
            return None
        attempt = cls(secret, return_to, kept, began)
        mine = hmac.compare_digest(attempt.state.encode(), state.encode(errors="replace"))
        return attempt if mine and 0 <= now - began <= SECONDS else None

    def _derived(self, what: str) -> str:
        content = orjson.dumps([what, self.return_to, self.kept, self.began])
        digest = hmac.new(self.secret.encode(), content, sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def cookie_name(state: str, *, secure: bool) -> str:
    """Return the cookie's name: one per attempt, so that two tabs do not disturb each other."""
    return f"{'__Host-' if secure else ''}mlops_sign_in_{sha256(state.encode(errors='replace')).hexdigest()[:8]}"
