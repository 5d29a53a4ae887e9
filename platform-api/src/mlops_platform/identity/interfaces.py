"""What the identity room needs from outside."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from joserfc.jwk import KeySet

from mlops_platform.identity.principal import Principal

# a key that was withdrawn stops counting within this time, whatever the token's own expiry says
_TRUST_SECONDS = 300.0
_MOST_TOKENS = 10_000


@dataclass(frozen=True)
class VerifiedToken:
    """A token whose signature, issuer, audience and times were checked."""

    principal: Principal
    expires_at: float
    """Unix seconds; the answer must not be used after it."""
    issued_at: float = 0.0
    """Unix seconds; 0 when the token does not say."""
    trusted_until: float = 0.0
    """Unix seconds; when the token has to be verified again, because its key may have been withdrawn."""


class IdentityProvider(ABC):
    """Turns bearer tokens into principals."""

    @abstractmethod
    def verify(self, token: str) -> VerifiedToken:
        """Return the verified token, without any I/O that blocks.

        Raises InvalidToken (401), or its subclass UnknownSigningKey when the key is not known yet and `refresh` may help.
        """

    @abstractmethod
    def keys(self) -> KeySet:
        """Return the issuer's signing keys as they were read last, without any I/O that blocks."""

    @abstractmethod
    async def refresh(self) -> None:
        """Read the issuer's signing keys again (rate-limited). Raises IssuerUnavailable when they cannot be read."""

    def look_again(self) -> None:  # noqa: B027 - most providers remember nothing of people
        """Forget what is remembered of people who signed out everywhere: the next token is compared with what is so now."""

    def __init__(self) -> None:
        self._verified: dict[str, VerifiedToken] = {}

    async def authenticate(self, token: str) -> VerifiedToken:
        """Return the verified token, reading rotated keys once when the token names an unknown one.

        A token that was verified is trusted for five minutes or until it expires, whichever comes first.
        """
        known = self._verified.get(token)
        if known is not None and known.trusted_until > time.time():
            return known
        from mlops_platform.identity.tokens import UnknownSigningKey

        try:
            verified = self.verify(token)
        except UnknownSigningKey:
            await self.refresh()
            verified = self.verify(token)
        if len(self._verified) >= _MOST_TOKENS:
            self._verified.clear()
        until = min(verified.expires_at, time.time() + _TRUST_SECONDS)
        verified = self._verified[token] = replace(verified, trusted_until=until)
        return verified
