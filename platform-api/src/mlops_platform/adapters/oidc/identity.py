"""Any OIDC issuer (Okta, Auth0, Cognito, Keycloak), found by discovery."""

import time
from typing import Any

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from mlops_platform.identity.claim_names import STANDARD, ClaimNames
from mlops_platform.identity.interfaces import IdentityProvider, VerifiedToken
from mlops_platform.identity.tokens import IssuerUnavailable, TokenVerifier

log = structlog.get_logger(__name__)

# a stream of tokens with made-up key ids must not turn into a stream of requests to the issuer
_MIN_SECONDS_BETWEEN_REFRESHES = 10


class OidcIdentity(IdentityProvider):
    """Verifies tokens with the keys the issuer publishes; rotated keys are picked up when a token names one."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        skew_seconds: int,
        cache_seconds: int,
        client: httpx.AsyncClient | None = None,
        names: ClaimNames = STANDARD,
        verifier: TokenVerifier | None = None,
    ) -> None:
        super().__init__()
        self._issuer = issuer
        self._verifier = verifier or TokenVerifier(issuer, audience, skew_seconds, names)
        self._keys = KeySet([])
        self._cache_seconds = cache_seconds
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._client = client or httpx.AsyncClient(timeout=5)

    def keys(self) -> KeySet:
        return self._keys

    def verify(self, token: str) -> VerifiedToken:
        return self._verifier.verify(token, self._keys)

    async def authenticate(self, token: str) -> VerifiedToken:
        """As the interface says; keys older than the cache time are read again first, so that withdrawn keys stop working.

        While the issuer is down the keys it published last go on counting: an outage of sign-in is not one of serving.
        """
        if time.monotonic() - self._read_at > self._cache_seconds:
            try:
                await self.refresh()
            except IssuerUnavailable as error:
                if not self._keys.keys:
                    raise
                log.warning("signing keys not read again, the known ones go on counting", reason=error.detail)
        return await super().authenticate(token)

    async def refresh(self) -> None:
        if time.monotonic() - self._tried_at < _MIN_SECONDS_BETWEEN_REFRESHES:
            return
        self._tried_at = time.monotonic()
        try:
            discovery = await self._read(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if discovery.get("issuer") != self._issuer:
                raise IssuerUnavailable(
                    "The identity provider's discovery document names another issuer; check MLOPS_ISSUER."
                )
            keys = KeySet.import_key_set(await self._read(discovery["jwks_uri"]))
        except (httpx.HTTPError, ValueError, KeyError, JoseError) as error:
            raise IssuerUnavailable(
                "Its signing keys cannot be read; tokens signed with known keys keep working.", retry_after=10
            ) from error
        self._keys = keys
        self._read_at = time.monotonic()

    async def _read(self, url: str) -> Any:
        response = await self._client.get(url)
        response.raise_for_status()
        return response.json()
