"""JWT verification: signature, issuer, audience, expiry, not-before; RS256 and ES256 only."""

import time
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from mlops_platform.errors import Unauthenticated, Unavailable
from mlops_platform.identity.interfaces import VerifiedToken
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.telemetry import metrics

# asymmetric only: with HS256 allowed, the public key would be a shared secret anyone can sign with
ALGORITHMS = ["RS256", "ES256"]
# a token longer than this is not one of ours; refusing it early bounds the work of a hostile caller
_MAX_TOKEN = 8_192


class MissingToken(Unauthenticated):
    """No bearer token was sent."""

    title = "A bearer token is needed"

    def __init__(self) -> None:
        metrics.authentication_failures_total.labels("missing").inc()
        super().__init__(
            "Send 'Authorization: Bearer <token>'; on a laptop, `mlops token EMAIL --role ROLE` prints one."
        )


class InvalidToken(Unauthenticated):
    """The token cannot be trusted."""

    title = "The bearer token is not valid"

    def __init__(self, reason: str, sentence: str) -> None:
        metrics.authentication_failures_total.labels(reason).inc()
        super().__init__(sentence)


class UnknownSigningKey(InvalidToken):
    """The token names a key the issuer had not published when we last looked."""

    def __init__(self) -> None:
        super().__init__("unknown_key", "The token is signed with a key its issuer has not published.")


class IssuerUnavailable(Unavailable):
    """The issuer's keys cannot be read."""

    title = "The identity provider is not answering"


class TokenVerifier:
    """Checks tokens of one issuer for one audience."""

    def __init__(self, issuer: str, audience: str, skew_seconds: int) -> None:
        self._issuer = issuer
        self._audience = audience
        self._skew = skew_seconds

    def verify(self, token: str, keys: KeySet) -> VerifiedToken:
        """Return the principal a token stands for. Raises InvalidToken or UnknownSigningKey; never anything else."""
        if len(token) > _MAX_TOKEN:
            raise InvalidToken("malformed", "The token is too long to be one of this platform's.")
        try:
            header = jwt_header(token)
        except ValueError as error:
            raise InvalidToken("malformed", "The token is not a JSON Web Token.") from error
        if header.get("alg") not in ALGORITHMS:
            raise InvalidToken("algorithm", "The token must be signed with RS256 or ES256.")
        kid = header.get("kid")
        if not isinstance(kid, str) or kid not in {key.kid for key in keys.keys}:
            raise UnknownSigningKey
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidToken("signature", "The token's signature does not match.") from error
        self._check_claims(claims)
        return VerifiedToken(principal_from(claims), float(claims["exp"]))

    def _check_claims(self, claims: dict[str, Any]) -> None:
        now = time.time()
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if claims.get("iss") != self._issuer:
            raise InvalidToken("issuer", "The token was issued by someone this platform does not trust.")
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise InvalidToken("audience", "The token was issued for another service.")
        if not _is_time(claims.get("exp")):
            raise InvalidToken("expiry", "The token has no expiry.")
        if claims["exp"] + self._skew <= now:
            raise InvalidToken("expired", "The token has expired; sign in again.")
        for claim in ("nbf", "iat"):
            if claim in claims and (not _is_time(claims[claim]) or claims[claim] - self._skew > now):
                raise InvalidToken("not_yet_valid", "The token is not valid yet; check the clocks.")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise InvalidToken("subject", "The token names nobody ('sub' is missing).")


def jwt_header(token: str) -> dict[str, Any]:
    """Return the unverified header of a JWT. Raises ValueError when it is not one."""
    import base64
    import json

    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise ValueError("not three parts")
    header = json.loads(base64.urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)))
    if not isinstance(header, dict):
        raise ValueError("the header is not an object")  # noqa: TRY004 - one exception for every malformed token
    return header


def principal_from(claims: dict[str, Any]) -> Principal:
    """Return the principal of verified claims.

    Roles come from 'roles', else 'groups', else viewer (docs/governance/roles.md); unknown names grant nothing. The tenant is
    'tenant', else "default". A person is named by 'email' when the issuer vouches for one, else by 'sub'.
    """
    named = claims.get("roles", claims.get("groups", [Role.VIEWER.value]))
    names = (
        {named}
        if isinstance(named, str)
        else {name for name in named if isinstance(name, str)}
        if isinstance(named, list)
        else set()
    )
    roles = frozenset(role for role in Role if role.value in names)
    email = claims.get("email")
    subject = (
        email if isinstance(email, str) and email and claims.get("email_verified", True) is not False else claims["sub"]
    )
    tenant = claims.get("tenant")
    return Principal(
        subject=subject,
        roles=roles,
        tenant=tenant if isinstance(tenant, str) and tenant else "default",
        kind="service" if Role.SERVICE in roles else "human",
    )


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
