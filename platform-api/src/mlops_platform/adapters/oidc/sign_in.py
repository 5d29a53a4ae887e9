"""Signing in by browser at any OpenID provider: authorization code with PKCE, refresh tokens, both kinds of sign-out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from mlops_platform.identity.claim_names import STANDARD, ClaimNames
from mlops_platform.identity.id_tokens import IdTokenVerifier
from mlops_platform.identity.interfaces import IdentityProvider
from mlops_platform.identity.signing_in import (
    Identified,
    LogoutNotice,
    ProviderTokens,
    SignInProvider,
    SignInRefused,
)
from mlops_platform.identity.tokens import IssuerUnavailable, UnknownSigningKey

_SECONDS = 5.0
_METADATA_SECONDS = 300.0
# addresses longer than this are cut or refused on their way; what it would carry is optional
_LONGEST_ADDRESS = 4_000
_MOST_KNOWN = 1_000
_KNOWN_SECONDS = 60.0


class OidcSignIn(SignInProvider):
    """The client half of OpenID Connect, found by discovery."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        identity: IdentityProvider,
        *,
        secret_file: Path | None = None,
        scopes: str = "openid profile email",
        skew_seconds: int = 30,
        names: ClaimNames = STANDARD,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._issuer, self._client_id, self._identity = issuer, client_id, identity
        self._secret_file, self._scopes, self._transport = secret_file, scopes, transport
        self._verifier = IdTokenVerifier(issuer, client_id, skew_seconds, names)
        self._known_metadata: dict[str, Any] = {}
        self._read_at = float("-inf")
        self._identified: dict[str, tuple[float, Identified]] = {}

    async def address(self, *, state: str, nonce: str, verifier: str, redirect_uri: str) -> str:
        metadata = await self._metadata()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        endpoint = str(metadata["authorization_endpoint"])
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def redeem(self, code: str, *, verifier: str, redirect_uri: str) -> ProviderTokens:
        metadata = await self._metadata()
        async with self._client(metadata) as client:
            answer = await client.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=redirect_uri,
            )
        tokens = _tokens(answer)
        if tokens.id_token is None:
            raise SignInRefused("no_id_token", "The identity provider gave no ID token; the scope 'openid' is needed.")
        return tokens

    async def renew(self, refresh_token: str) -> ProviderTokens:
        metadata = await self._metadata()
        async with self._client(metadata) as client:
            answer = await client.refresh_token(metadata["token_endpoint"], refresh_token=refresh_token)
        return _tokens(answer)

    async def identify(self, id_token: str, *, nonce: str | None, fresh: bool) -> Identified:
        known = self._identified.get(id_token)
        if nonce is None and not fresh and known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            found = self._verifier.identified(id_token, self._identity.keys(), nonce=nonce, fresh=fresh)
        except UnknownSigningKey:
            await self._identity.refresh()
            found = self._verifier.identified(id_token, self._identity.keys(), nonce=nonce, fresh=fresh)
        if len(self._identified) >= _MOST_KNOWN:
            self._identified.clear()
        self._identified[id_token] = (time.monotonic() + _KNOWN_SECONDS, found)
        return found

    async def names_itself(self, issuer: str | None) -> bool:
        if issuer is not None:
            return issuer == self._issuer
        metadata = await self._metadata()
        return metadata.get("authorization_response_iss_parameter_supported") is not True

    async def end_address(self, id_token: str | None, return_to: str) -> str | None:
        endpoint = (await self._metadata()).get("end_session_endpoint")
        if not isinstance(endpoint, str):
            return None
        asked = {"client_id": self._client_id, "post_logout_redirect_uri": return_to}
        if id_token is not None and len(id_token) < _LONGEST_ADDRESS:
            asked["id_token_hint"] = id_token
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def logout_notice(self, token: str) -> LogoutNotice:
        try:
            return self._verifier.logout(token, self._identity.keys())
        except UnknownSigningKey:
            await self._identity.refresh()
            return self._verifier.logout(token, self._identity.keys())

    @asynccontextmanager
    async def _client(self, metadata: dict[str, Any]) -> AsyncIterator[AsyncOAuth2Client]:
        """Give a client; what goes wrong while it is used leaves as SignInRefused or IssuerUnavailable."""
        try:
            secret = self._secret_file.read_text().strip() if self._secret_file is not None else None
            async with AsyncOAuth2Client(
                self._client_id,
                secret,
                token_endpoint_auth_method=_method(metadata, with_secret=secret is not None),
                timeout=_SECONDS,
                transport=self._transport,
                trust_env=self._transport is None,
            ) as client:
                yield client
        except OAuthError as error:
            # what the provider wrote may be anything: its one word is kept, if it is one of the standard's
            raise SignInRefused("provider_refused", _refusal(error.error)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, KeyError) as error:
            raise IssuerUnavailable("Signing in does not work at the moment; try again.", retry_after=5) from error

    async def _metadata(self) -> dict[str, Any]:
        if self._known_metadata and time.monotonic() - self._read_at < _METADATA_SECONDS:
            return self._known_metadata
        try:
            async with httpx2.AsyncClient(timeout=_SECONDS, transport=self._transport) as client:
                answer = await client.get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                answer.raise_for_status()
                found = answer.json()
            _check(found, self._issuer)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError) as error:
            if self._known_metadata:
                return self._known_metadata
            raise IssuerUnavailable(
                "The identity provider's discovery document cannot be read, or does not fit; try again.", retry_after=5
            ) from error
        self._known_metadata, self._read_at = found, time.monotonic()
        return self._known_metadata


def _check(metadata: Any, issuer: str) -> None:
    """Raise ValueError when a discovery document is another issuer's, or leads away from https."""
    if not isinstance(metadata, dict) or metadata.get("issuer") != issuer:
        raise ValueError("another issuer")
    secure = issuer.startswith("https://")
    for name in ("authorization_endpoint", "token_endpoint", "end_session_endpoint"):
        found = metadata.get(name)
        if found is None and name == "end_session_endpoint":
            continue
        if not isinstance(found, str) or urlsplit(found).scheme not in ({"https"} if secure else {"https", "http"}):
            raise ValueError(f"no usable {name}")
    methods = metadata.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise ValueError("no PKCE by S256")


def _method(metadata: dict[str, Any], *, with_secret: bool) -> str:
    if not with_secret:
        return "none"
    offered = metadata.get("token_endpoint_auth_methods_supported")
    # OpenID Connect Discovery: left out, it means client_secret_basic
    if isinstance(offered, list) and "client_secret_basic" not in offered and "client_secret_post" in offered:
        return "client_secret_post"
    return "client_secret_basic"


def _tokens(answer: Any) -> ProviderTokens:
    id_token, refresh_token = answer.get("id_token"), answer.get("refresh_token")
    return ProviderTokens(
        id_token if isinstance(id_token, str) else None, refresh_token if isinstance(refresh_token, str) else None
    )


def _refusal(word: object) -> str:
    if word == "invalid_grant":
        return "The identity provider does not take this sign-in (any more): begin again."
    if word in {"invalid_client", "unauthorized_client"}:
        return "The identity provider does not know this platform's client; an administrator checks MLOPS_OIDC_CLIENT_ID and its secret."
    return "The identity provider refused the sign-in: begin again, or ask an administrator."
