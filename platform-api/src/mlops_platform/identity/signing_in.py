"""What signing in by browser needs from an OpenID provider: the code flow, renewing, and ends of sessions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from mlops_platform.errors import Unauthenticated
from mlops_platform.identity.principal import Principal
from mlops_platform.telemetry import metrics


class SignInRefused(Unauthenticated):
    """The provider, or what came back from it, does not sign this browser in."""

    title = "You are not signed in"

    def __init__(self, reason: str, sentence: str) -> None:
        metrics.authentication_failures_total.labels(reason).inc()
        super().__init__(sentence)


@dataclass(frozen=True)
class ProviderTokens:
    """What the provider gave for a code or a refresh token; none of it leaves the server."""

    id_token: str | None
    """None when renewing: the provider only says that the session goes on."""
    refresh_token: str | None


@dataclass(frozen=True)
class Identified:
    """Whom an ID token names, after its signature, issuer, audience and nonce were checked."""

    principal: Principal
    provider_subject: str
    """The 'sub', which logout tokens name."""
    provider_session: str | None
    """The 'sid'."""


@dataclass(frozen=True)
class LogoutNotice:
    """Whose sessions the provider has ended (OpenID Connect Back-Channel Logout)."""

    key: str
    """Of this very notice: a second one with it is a replay."""
    until: float
    """Unix seconds, after which it would be refused for its age."""
    provider_subject: str | None
    provider_session: str | None


class SignInProvider(ABC):
    """An OpenID provider where people sign in by browser."""

    @abstractmethod
    async def address(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        """Return where the browser goes to sign in. Raises IssuerUnavailable."""

    @abstractmethod
    async def redeem(self, code: str, *, verifier: str, redirect_uri: str) -> ProviderTokens:
        """Exchange a code. Raises SignInRefused, IssuerUnavailable."""

    @abstractmethod
    async def renew(self, refresh_token: str) -> ProviderTokens:
        """Ask whether the person still may be signed in. Raises SignInRefused when not, IssuerUnavailable."""

    @abstractmethod
    async def identify(self, id_token: str, *, nonce: str | None, fresh: bool) -> Identified:
        """Return whom an ID token names; `fresh` when it was just given (its expiry counts), `nonce` at sign-in only.

        Raises InvalidToken, IssuerUnavailable.
        """

    @abstractmethod
    async def names_itself(self, issuer: str | None) -> bool:
        """Return whether the 'iss' of an answer is right, or rightly absent (RFC 9207). Raises IssuerUnavailable."""

    @abstractmethod
    async def end_address(self, id_token: str | None, return_to: str) -> str | None:
        """Return where the browser goes to sign out at the provider too, None when it has no such page."""

    @abstractmethod
    async def logout_notice(self, token: str) -> LogoutNotice:
        """Return what a logout token says. Raises InvalidToken, IssuerUnavailable."""
