"""What the identity room needs from outside."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from mlops_platform.identity.principal import Principal


@dataclass(frozen=True)
class VerifiedToken:
    """A token whose signature, issuer, audience and times were checked."""

    principal: Principal
    expires_at: float
    """Unix seconds; a cached answer must not be used after it."""


class IdentityProvider(ABC):
    """Turns bearer tokens into principals."""

    @abstractmethod
    def verify(self, token: str) -> VerifiedToken:
        """Return the verified token, without any I/O that blocks.

        Raises InvalidToken (401), or its subclass UnknownSigningKey when the key is not known yet and `refresh` may help.
        """

    @abstractmethod
    async def refresh(self) -> None:
        """Read the issuer's signing keys again (rate-limited). Raises IssuerUnavailable when they cannot be read."""

    async def authenticate(self, token: str) -> VerifiedToken:
        """Return the verified token, reading rotated keys once when the token names an unknown one."""
        from mlops_platform.identity.tokens import UnknownSigningKey

        try:
            return self.verify(token)
        except UnknownSigningKey:
            await self.refresh()
            return self.verify(token)
