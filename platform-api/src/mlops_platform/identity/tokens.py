"""JWT verification: signature, issuer, audience, expiry, not-before; RS256 and ES256 only."""

import re
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet

from mlops_platform.errors import Unauthenticated, Unavailable
from mlops_platform.identity.claim_names import STANDARD, ClaimNames
from mlops_platform.identity.claims import ClaimsNotValid, is_time, parts_of
from mlops_platform.identity.interfaces import VerifiedToken
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.identity.service_accounts import PREFIX as SERVICE_PREFIX
from mlops_platform.identity.subjects import SubjectNotUsable, normalised, subject_of
from mlops_platform.telemetry import metrics

# asymmetric only: with HS256 allowed, the public key would be a shared secret anyone can sign with
ALGORITHMS = ["RS256", "ES256"]
# a token longer than this is not one of ours; refusing it early bounds the work of a hostile caller
_MAX_TOKEN = 8_192
_LONGEST_TENANT = 120
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


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
    """Checks tokens of one issuer for one audience; `names` are the claims that say who is calling."""

    longest = _MAX_TOKEN

    def __init__(
        self,
        issuer: str,
        audience: str,
        skew_seconds: int,
        names: ClaimNames = STANDARD,
        *,
        makes_services: bool = False,
    ) -> None:
        self._issuer = issuer
        self._makes_services = makes_services
        self._audience = audience
        self._skew = skew_seconds
        self._names = names

    def verify(self, token: str, keys: KeySet) -> VerifiedToken:
        """Return the principal a token stands for. Raises InvalidToken or UnknownSigningKey; never anything else."""
        claims = self.signed_claims(token, keys)
        self._check_claims(claims)
        if "events" in claims:
            # an issuer signs these for the same audience, and sends them to whoever listens (OpenID back-channel logout)
            raise InvalidToken("kind", "The token tells of an event, such as the end of a session; it lets nobody in.")
        principal = principal_from(claims, self._names)
        if principal.subject.startswith(SERVICE_PREFIX) and not (self._makes_services and principal.kind == "service"):
            raise InvalidToken("subject", "The token has the name of a service account, which its issuer may not give.")
        return VerifiedToken(principal, float(claims["exp"]), issued_at=float(claims.get("iat", 0)))

    def signed_claims(self, token: str, keys: KeySet) -> dict[str, Any]:
        """Return what the issuer signed, whatever it says. Raises InvalidToken or UnknownSigningKey; never anything else."""
        if len(token) > self.longest:
            raise InvalidToken("malformed", "The token is too long to be one of this platform's.")
        try:
            # before the library sees it: it would take the last of two claims, and NaN for a number
            header, claims = parts_of(token)
        except ClaimsNotValid as error:
            raise InvalidToken("malformed", str(error)) from error
        if header.get("alg") not in ALGORITHMS:
            raise InvalidToken("algorithm", "The token must be signed with RS256 or ES256.")
        kid = header.get("kid")
        if not isinstance(kid, str) or kid not in {key.kid for key in keys.keys}:
            raise UnknownSigningKey
        try:
            jwt.decode(token, keys, algorithms=ALGORITHMS)
        except Exception as error:
            # the library judges hostile bytes: whatever it stumbles over, the token is not trusted
            raise InvalidToken("signature", "The token's signature does not match.") from error
        return claims

    def _check_claims(self, claims: dict[str, Any], *, expired_counts: bool = False) -> None:
        """Raise InvalidToken unless issuer, audience, times and subject are right; an old one may count by what was asked since."""
        now = time.time()
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if claims.get("iss") != self._issuer:
            raise InvalidToken("issuer", "The token was issued by someone this platform does not trust.")
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise InvalidToken("audience", "The token was issued for another service.")
        if not is_time(claims.get("exp")):
            raise InvalidToken("expiry", "The token has no expiry, or one that is no time.")
        if not expired_counts and claims["exp"] + self._skew <= now:
            raise InvalidToken("expired", "The token has expired; sign in again.")
        for claim in ("nbf", "iat"):
            if claim in claims and (not is_time(claims[claim]) or claims[claim] - self._skew > now):
                raise InvalidToken("not_yet_valid", "The token is not valid yet; check the clocks.")
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise InvalidToken("subject", "The token names nobody ('sub' is missing).")


def principal_from(claims: dict[str, Any], names: ClaimNames = STANDARD) -> Principal:
    """Return the principal of verified claims. Raises InvalidToken when they name nobody, or a team that cannot be one.

    Which claims count, `names` says; by default roles come from 'roles', else 'groups', else viewer (docs/governance/roles.md);
    unknown names grant nothing. Without a claim of the tenant it is "default". Who is calling has the form of
    identity/subjects.py. A service may say for whom it acts ('on_behalf_of'); from a person that claim means nothing.
    """
    given = names.roles_in(claims, Role.VIEWER.value)
    roles = frozenset(role for role in Role if role.value in given)
    service = Role.SERVICE in roles or _of_a_program(claims) or names.says_service(claims)
    try:
        subject = subject_of(claims, names.subject, service=service)
    except SubjectNotUsable as error:
        raise InvalidToken("subject", f"The token's '{names.subject}' names nobody: {error}.") from error
    amr, acr = claims.get("amr"), claims.get("acr")
    return Principal(
        subject=subject,
        roles=roles,
        tenant=_tenant(names.tenant_in(claims, "default"), names.tenant),
        kind="service" if service else "human",
        on_behalf_of=_starter(claims) if service else None,
        amr=frozenset(way for way in amr if isinstance(way, str)) if isinstance(amr, list) else frozenset(),
        acr=acr if isinstance(acr, str) else None,
        address=_address(claims),
    )


def _of_a_program(claims: dict[str, Any]) -> bool:
    """Whether the issuer says that a program asked for the token with its own credentials (RFC 9068, Okta, Auth0, Entra ID)."""
    clients = [client for name in ("client_id", "cid") if (client := claims.get(name)) is not None]
    return claims.get("sub") in clients or claims.get("gty") == "client-credentials" or claims.get("idtyp") == "app"


def _tenant(tenant: object, claim: str) -> str:
    # a team that cannot be read is not the team "default": nobody gets there by a mistake of the issuer
    try:
        plain = normalised(tenant)
    except SubjectNotUsable as error:
        raise InvalidToken("tenant", f"The token's '{claim}' names no team: {error}.") from error
    if plain != tenant or len(plain) > _LONGEST_TENANT:
        raise InvalidToken("tenant", f"The token's '{claim}' names no team: it is not the plain name of one.")
    return plain


def _address(claims: dict[str, Any]) -> str | None:
    """Return an address that the issuer has verified, in the one form; None for anything mail could be misled by."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not _ADDRESS.fullmatch(email):
        return None
    return email.lower()


def _starter(claims: dict[str, Any]) -> str | None:
    if "on_behalf_of" not in claims:
        return None
    try:
        return normalised(claims["on_behalf_of"])
    except SubjectNotUsable as error:
        raise InvalidToken("subject", f"The token's 'on_behalf_of' names nobody: {error}.") from error
