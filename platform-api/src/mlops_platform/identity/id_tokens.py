"""ID tokens and logout tokens: issued for this client, for this very sign-in, or about sessions of its people."""

import hmac
import time
from typing import Any

from joserfc.jwk import KeySet

from mlops_platform.identity.claim_names import STANDARD, ClaimNames
from mlops_platform.identity.claims import is_time
from mlops_platform.identity.signing_in import Identified, LogoutNotice
from mlops_platform.identity.tokens import InvalidToken, TokenVerifier, principal_from

# they stay on the server, so they may hold hundreds of groups
_LONGEST = 65_536
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
_LOGOUT_SECONDS = 300


class IdTokenVerifier(TokenVerifier):
    """Checks what the issuer says to one client."""

    longest = _LONGEST

    def __init__(self, issuer: str, client_id: str, skew_seconds: int, names: ClaimNames = STANDARD) -> None:
        super().__init__(issuer, client_id, skew_seconds, names)
        self._client = client_id

    def identified(self, token: str, keys: KeySet, *, nonce: str | None, fresh: bool) -> Identified:
        """Return whom an ID token names. Raises InvalidToken or UnknownSigningKey."""
        claims = self.signed_claims(token, keys)
        self._check_claims(claims, expired_counts=not fresh)
        _refuse_events(claims)
        party = claims.get("azp")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        # OpenID Connect Core, 3.1.3.7: with several audiences the party must be named, and it must be us
        if (party is not None and party != self._client) or (several and party is None):
            raise InvalidToken("audience", "The ID token was issued to another application.")
        if nonce is not None:
            said = claims.get("nonce")
            if not isinstance(said, str) or not hmac.compare_digest(said.encode(errors="replace"), nonce.encode()):
                raise InvalidToken("nonce", "The ID token belongs to another sign-in; begin again.")
        sid = claims.get("sid")
        return Identified(principal_from(claims, self._names), claims["sub"], sid if isinstance(sid, str) else None)

    def logout(self, token: str, keys: KeySet) -> LogoutNotice:
        """Return what a logout token says. Raises InvalidToken or UnknownSigningKey."""
        claims = self.signed_claims(token, keys)
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer:
            raise InvalidToken("issuer", "The logout token is of another issuer.")
        if self._client not in ([audience] if isinstance(audience, str) else audience or []):
            raise InvalidToken("audience", "The logout token is for another application.")
        issued = claims.get("iat")
        if not is_time(issued) or not -self._skew <= time.time() - float(issued or 0) <= _LOGOUT_SECONDS + self._skew:
            raise InvalidToken("expired", "The logout token is too old, or from the future.")
        if "exp" in claims and (not is_time(claims["exp"]) or claims["exp"] + self._skew <= time.time()):
            raise InvalidToken("expired", "The logout token has expired.")
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT), dict) or "nonce" in claims:
            raise InvalidToken("malformed", "The token is no logout token.")
        key, subject, session = claims.get("jti"), claims.get("sub"), claims.get("sid")
        if not isinstance(key, str) or not key or not (isinstance(subject, str) or isinstance(session, str)):
            raise InvalidToken("malformed", "The logout token names nobody, or has no 'jti'.")
        return LogoutNotice(
            key=f"{self._issuer}\n{key}",
            until=float(issued or 0) + _LOGOUT_SECONDS + 2 * self._skew,
            provider_subject=subject if isinstance(subject, str) else None,
            provider_session=session if isinstance(session, str) else None,
        )


def _refuse_events(claims: dict[str, Any]) -> None:
    # a logout token has the same issuer and audience, and opens nothing
    if "events" in claims:
        raise InvalidToken("malformed", "A logout token is no ID token.")
