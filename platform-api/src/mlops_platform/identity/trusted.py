"""Whose tokens count: the issuer of people and services, the issuers of workloads, and nobody's who signed out everywhere."""

from abc import ABC, abstractmethod

from joserfc.jwk import KeySet

from mlops_platform.identity.claims import ClaimsNotValid, parts_of
from mlops_platform.identity.interfaces import IdentityProvider, VerifiedToken
from mlops_platform.identity.tokens import TokenVerifier


class Verifiers(ABC):
    """Who verifies tokens of issuers beside the platform's own."""

    @abstractmethod
    def of(self, issuer: object) -> IdentityProvider | None:
        """Return who verifies tokens of this issuer; None when it is none of theirs."""


class Departures(ABC):
    """People whose earlier tokens count no more."""

    @abstractmethod
    async def check(self, verified: VerifiedToken) -> None:
        """Raise InvalidToken for a token from before its person signed out everywhere."""

    @abstractmethod
    def look_again(self) -> None:
        """Read them again before the next token."""


class TrustedIssuers(IdentityProvider):
    """The platform's issuer and, beside it, those of workloads. A token is asked of the one issuer that it names."""

    def __init__(
        self, own: IdentityProvider, issuer: str, others: Verifiers | None, departures: Departures | None = None
    ) -> None:
        super().__init__()
        self._own, self._issuer, self._others, self._departures = own, issuer, others, departures

    def keys(self) -> KeySet:
        """Return the keys of the platform's own issuer: nobody else signs people in."""
        return self._own.keys()

    def verify(self, token: str) -> VerifiedToken:
        return self._issuer_of(token).verify(token)

    async def refresh(self) -> None:
        await self._own.refresh()

    def look_again(self) -> None:
        if self._departures is not None:
            self._departures.look_again()

    async def authenticate(self, token: str) -> VerifiedToken:
        """As the interface says; a token from before its person signed out everywhere is none (InvalidToken)."""
        verified = await self._issuer_of(token).authenticate(token)
        if self._departures is not None:
            await self._departures.check(verified)
        return verified

    def _issuer_of(self, token: str) -> IdentityProvider:
        if self._others is None or len(token) > TokenVerifier.longest:
            return self._own
        try:
            _, claims = parts_of(token)
        except ClaimsNotValid:
            # refused there, in its words
            return self._own
        if claims.get("iss") == self._issuer:
            # first: no file of accounts decides about people, nor stops them when it is broken
            return self._own
        return self._others.of(claims.get("iss")) or self._own
